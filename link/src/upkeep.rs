//! Declares a generation's topology again and again, in case somebody has deleted some of it:
//! declaring what exists changes nothing, and what was missing is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::generation::{Live, in_time};
use super::plan::declare;
use super::{Reason, Session, Source};
use simple_dist_protocol::topology::Declaration;

/// How long a refused declaration is left alone: each refusal is a line in the broker's log.
const REST: Duration = Duration::from_secs(30);

/// The state of the upkeep.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    declared: OnceLock<Vec<Declaration>>,
    /// Whether a round is running.
    busy: AtomicBool,
    /// What was refused last, and until when it is left alone.
    refused: Mutex<Option<(Reason, Instant)>>,
}

impl Upkeep {
    /// Sets what was declared.
    pub(super) fn begin(&self, declared: Vec<Declaration>) {
        // A generation has only one plan.
        let _first = self.declared.set(declared);
    }

    fn rests(&self) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().is_some_and(|(_, until)| Instant::now() < *until)
    }

    fn ended(&self, reason: Reason) {
        // Missing things are for others to declare, and a late answer may come next time.
        if !matches!(reason, Reason::Mismatch(_) | Reason::Refused(_)) {
            return;
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref().is_none_or(|(said, _)| *said != reason) {
            tracing::warn!(%reason, "cannot redeclare what was deleted");
        }
        *refused = Some((reason, Instant::now() + REST));
    }
}

impl<S: Source> Session<S> {
    /// Declares again, on separate channels, what the link's plan declares, in case somebody has
    /// deleted some of it. Returns at once; does nothing while a previous round is running.
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

/// All exchanges and queues concurrently, then all bindings.
async fn declare_all<S: Source>(live: &Live<S>) {
    let declared = live.upkeep.declared.get().map(Vec::as_slice).unwrap_or_default();
    let (bindings, others): (Vec<_>, Vec<_>) =
        declared.iter().partition(|declaration| matches!(declaration, Declaration::Binding { .. }));
    for group in [others, bindings] {
        let ends = join_all(group.into_iter().map(|declaration| declare_one(live, declaration)));
        ends.await.into_iter().filter_map(Result::err).for_each(|reason| live.upkeep.ended(reason));
    }
}

/// A failure here does not end the generation: whoever needs the object will notice.
async fn declare_one<S: Source>(live: &Live<S>, declaration: &Declaration) -> Result<(), Reason> {
    let channel = in_time(live.declares.take(&live.broker.consuming)).await?;
    in_time(declare(&channel, declaration)).await?;
    live.declares.keep(channel);
    Ok(())
}
