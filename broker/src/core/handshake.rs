//! From the protocol header to `connection.open-ok`.

use amq_protocol::{
    protocol::{
        AMQPClass,
        connection::{AMQPMethod, OpenOk, Start, StartOk, Tune, TuneOk},
    },
    types::{AMQPValue, FieldTable, ShortString},
};

use super::{
    ConnectionId, Core, Effect, Place,
    connection::{Capabilities, Phase},
};
use crate::wire::{Code, Refusal};

/// The smallest frame size there is, by the specification.
const FRAME_MIN: usize = 4096;

impl Core {
    pub(super) fn start(&mut self, id: ConnectionId) {
        let start = Start {
            version_major: 0,
            version_minor: 9,
            server_properties: server_properties(),
            mechanisms: "PLAIN".into(),
            locales: "en_US".into(),
        };
        self.set_phase(id, Phase::AwaitingStartOk);
        self.send_connection(id, AMQPMethod::Start(start));
    }

    /// One method of the handshake.
    pub(super) fn shake_hands(
        &mut self,
        id: ConnectionId,
        phase: Phase,
        method: AMQPMethod,
    ) -> Result<(), Refusal> {
        match (phase, method) {
            (Phase::AwaitingStartOk, AMQPMethod::StartOk(start_ok)) => self.log_in(id, &start_ok),
            (Phase::AwaitingTuneOk, AMQPMethod::TuneOk(tune_ok)) => self.tune(id, &tune_ok),
            (Phase::AwaitingOpen, AMQPMethod::Open(open)) => {
                if open.virtual_host.as_str() != "/" {
                    let text = format!("vhost {} not found", open.virtual_host);
                    return Err(Refusal::new(Code::NotAllowed, text).about(10, 40));
                }
                self.set_phase(id, Phase::Open);
                self.send_connection(id, AMQPMethod::OpenOk(OpenOk {}));
                Ok(())
            }
            (_, _) => Err(Refusal::new(Code::CommandInvalid, "method out of turn in handshake")),
        }
    }

    fn log_in(&mut self, id: ConnectionId, start_ok: &StartOk) -> Result<(), Refusal> {
        let capabilities = capabilities(&start_ok.client_properties);
        let user = match start_ok.mechanism.as_str() {
            "PLAIN" => self.authenticated(start_ok.response.as_bytes()),
            mechanism => {
                let text = format!("unknown authentication mechanism '{mechanism}'");
                return Err(Refusal::new(Code::CommandInvalid, text).about(10, 11));
            }
        };
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        connection.capabilities = capabilities;
        let Some(user) = user else {
            if capabilities.authentication_failure_close {
                let text = "Login was refused using authentication mechanism PLAIN.";
                return Err(Refusal::new(Code::AccessRefused, text).about(10, 11));
            }
            self.finish(id);
            return Ok(());
        };
        connection.user = user;
        connection.phase = Phase::AwaitingTuneOk;
        let tune = Tune {
            channel_max: self.settings.channel_max,
            frame_max: u32::try_from(self.settings.frame_max).unwrap_or(u32::MAX),
            heartbeat: self.settings.heartbeat,
        };
        self.send_connection(id, AMQPMethod::Tune(tune));
        Ok(())
    }

    /// The user that a PLAIN response proves to be.
    fn authenticated(&self, response: &[u8]) -> Option<ShortString> {
        let mut parts = response.splitn(3, |byte| *byte == 0);
        let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
        let user = std::str::from_utf8(user).ok()?;
        let known = self.settings.users.get(user)?;
        // Every byte is looked at, so that the time taken does not tell how many were right.
        let same = known.len() == password.len()
            && known.bytes().zip(password).fold(0, |odd, (ours, theirs)| odd | (ours ^ theirs))
                == 0;
        if same { ShortString::try_new(user).ok() } else { None }
    }

    fn tune(&mut self, id: ConnectionId, tune_ok: &TuneOk) -> Result<(), Refusal> {
        let refused = |text| Err(Refusal::new(Code::NotAllowed, text).about(10, 31));
        let frame_max = match usize::try_from(tune_ok.frame_max).unwrap_or(usize::MAX) {
            0 => self.settings.frame_max,
            size if size < FRAME_MIN => return refused("negotiated frame_max is too small"),
            size if size > self.settings.frame_max => {
                return refused("negotiated frame_max is larger than offered");
            }
            size => size,
        };
        let channel_max = match tune_ok.channel_max {
            0 => self.settings.channel_max,
            most if most > self.settings.channel_max => {
                return refused("negotiated channel_max is larger than offered");
            }
            most => most,
        };
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        connection.frame_max = frame_max;
        connection.channel_max = channel_max;
        connection.phase = Phase::AwaitingOpen;
        let heartbeat = tune_ok.heartbeat;
        self.effects.push(Effect::Opened { connection: id, frame_max, heartbeat });
        Ok(())
    }

    pub(super) fn set_phase(&mut self, id: ConnectionId, phase: Phase) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = phase;
        }
    }

    pub(super) fn send_connection(&mut self, id: ConnectionId, method: AMQPMethod) {
        self.send(Place { connection: id, channel: 0 }, AMQPClass::Connection(method));
    }
}

fn server_properties() -> FieldTable {
    let mut capabilities = FieldTable::default();
    for (name, is_there) in [
        ("publisher_confirms", true),
        ("exchange_exchange_bindings", false),
        ("basic.nack", true),
        ("consumer_cancel_notify", true),
        ("connection.blocked", true),
        ("consumer_priorities", true),
        ("authentication_failure_close", true),
        ("per_consumer_qos", true),
        ("direct_reply_to", false),
    ] {
        capabilities.insert(name.into(), AMQPValue::Boolean(is_there));
    }
    let mut properties = FieldTable::default();
    for (name, value) in [
        ("product", "simple-dist embedded broker"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("platform", "Rust"),
    ] {
        properties.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

fn capabilities(properties: &FieldTable) -> Capabilities {
    let Some(AMQPValue::FieldTable(table)) = properties.inner().get("capabilities") else {
        return Capabilities::default();
    };
    let has = |name: &str| table.inner().get(name) == Some(&AMQPValue::Boolean(true));
    Capabilities {
        consumer_cancel_notify: has("consumer_cancel_notify"),
        connection_blocked: has("connection.blocked"),
        authentication_failure_close: has("authentication_failure_close"),
    }
}
