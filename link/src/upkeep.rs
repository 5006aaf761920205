//! What a generation has declared is declared again, in case somebody has deleted some of it: to
//! declare what is there is a question, and what was missing is there again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::generation::{Live, in_time};
use super::plan::declare;
use super::{Reason, Session, Source};
use simple_dist_protocol::topology::Declaration;

/// How long what the broker refuses is left alone: each refusal is a line in its log.
const REST: Duration = Duration::from_secs(30);

/// What is kept up.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    declared: OnceLock<Vec<Declaration>>,
    /// It is being declared again.
    busy: AtomicBool,
    /// What was refused last, and until when it is left alone.
    refused: Mutex<Option<(Reason, Instant)>>,
}

impl Upkeep {
    /// All this was declared.
    pub(super) fn begin(&self, declared: Vec<Declaration>) {
        // A generation has one plan.
        let _first = self.declared.set(declared);
    }

    fn rests(&self) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().is_some_and(|(_, until)| Instant::now() < *until)
    }

    fn ended(&self, reason: Reason) {
        // What is missing is for others to declare, and who is late may answer next time.
        if !matches!(reason, Reason::Mismatch(_) | Reason::Refused(_)) {
            return;
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref().is_none_or(|(said, _)| *said != reason) {
            tracing::warn!(%reason, "what was deleted cannot be declared again");
        }
        *refused = Some((reason, Instant::now() + REST));
    }
}

impl<S: Source> Session<S> {
    /// Declares again, on channels of its own, what the link's plan declares, in case somebody has
    /// deleted some of it. Returns at once, and does nothing while that is under way.
    pub fn declare_again(&self) {
        let Ok(live) = self.live() else { return };
        if live.upkeep.rests() || live.upkeep.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let (kept, closing) = (Arc::clone(&live), live.closing.clone());
        live.spawn(async move {
            tokio::select! {
                () = declare_all(&kept) => {}
                () = closing.cancelled() => {}
            }
            kept.upkeep.busy.store(false, Ordering::Release);
        });
    }
}

/// All exchanges and queues together, then all bindings.
async fn declare_all<S: Source>(live: &Live<S>) {
    let declared = live.upkeep.declared.get().map(Vec::as_slice).unwrap_or_default();
    let (bindings, others): (Vec<_>, Vec<_>) =
        declared.iter().partition(|declaration| matches!(declaration, Declaration::Binding { .. }));
    for group in [others, bindings] {
        let ends = join_all(group.into_iter().map(|declaration| declare_one(live, declaration)));
        ends.await.into_iter().filter_map(Result::err).for_each(|reason| live.upkeep.ended(reason));
    }
}

/// One that comes to nothing ends no generation: whoever needs it will see that it is not there.
async fn declare_one<S: Source>(live: &Live<S>, declaration: &Declaration) -> Result<(), Reason> {
    let channel = in_time(live.declares.take(&live.broker.consuming)).await?;
    in_time(declare(&channel, declaration)).await?;
    live.declares.keep(channel);
    Ok(())
}
