//! `queue.bind`.

use amq_protocol::{
    protocol::{AMQPClass, queue},
    types::FieldTable,
};

use super::{Core, Place, declare::no_exchange, exchange::Exchange};
use crate::wire::{Code, Refusal};

impl Core {
    pub(super) fn bind(&mut self, place: Place, bind: queue::Bind) -> Result<(), Refusal> {
        check_arguments(&bind.arguments)?;
        let id = self.usable_queue(place, &bind.queue)?;
        if bind.exchange.as_str().is_empty() {
            return Err(default_exchange());
        }
        let bindings: usize = self.exchanges.values().map(Exchange::bindings).sum();
        let Some(exchange) = self.exchanges.get_mut(&bind.exchange) else {
            return Err(no_exchange(&bind.exchange));
        };
        if bindings >= self.settings.max_bindings {
            return Err(Refusal::new(Code::PreconditionFailed, "limit of bindings reached"));
        }
        exchange.bind(bind.routing_key, id);
        if !bind.nowait {
            let bind_ok = queue::AMQPMethod::BindOk(queue::BindOk {});
            self.send(place, AMQPClass::Queue(bind_ok));
        }
        Ok(())
    }
}

fn default_exchange() -> Refusal {
    Refusal::new(Code::AccessRefused, "operation not permitted on the default exchange")
}

fn check_arguments(arguments: &FieldTable) -> Result<(), Refusal> {
    match arguments.into_iter().next() {
        None => Ok(()),
        Some((name, _)) => {
            Err(Refusal::new(Code::NotImplemented, format!("binding argument '{name}'")))
        }
    }
}
