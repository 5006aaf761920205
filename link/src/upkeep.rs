//! Declares a generation's topology again and again, in case somebody has deleted some of it:
//! declaring what exists changes nothing, and what was missing is back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lapin::{Channel, Connection};
use tokio::time::Instant;

use super::answer::{Failure, in_time};
use super::declare::declare;
use super::reason::Reason;
use simple_dist_protocol::topology::Declaration;

/// How long a refused declaration is left alone: each refusal is a line in the broker's log.
const REST: Duration = Duration::from_secs(30);

/// The state of the upkeep.
pub(super) struct Upkeep {
    declared: Arc<[Declaration]>,
    /// Whether a round is running.
    busy: bool,
    /// What was refused last, and until when it is left alone.
    refused: Option<(Reason, Instant)>,
}

impl Upkeep {
    pub(super) fn new(declared: Vec<Declaration>) -> Self {
        Self { declared: declared.into(), busy: false, refused: None }
    }

    /// What to redeclare now, if anything; [`Self::ended`] must follow.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Arc<[Declaration]>> {
        let rests = self.refused.as_ref().is_some_and(|(_, until)| now < *until);
        if rests || self.busy {
            return None;
        }
        self.busy = true;
        Some(self.declared.clone())
    }

    pub(super) fn ended(&mut self, failed: Vec<Reason>, now: Instant) {
        self.busy = false;
        for reason in failed {
            // Missing things are for others to declare, and a late answer may come next time.
            if !matches!(reason, Reason::Mismatch(_) | Reason::Refused(_)) {
                continue;
            }
            if self.refused.as_ref().is_none_or(|(said, _)| *said != reason) {
                tracing::warn!(%reason, "cannot redeclare what was deleted");
            }
            self.refused = Some((reason, now + REST));
        }
    }
}

/// All exchanges and queues concurrently, then all bindings, each on its own channel. A failure
/// here does not end the generation: the code that needs the object will notice.
pub(super) async fn declare_all(
    connection: &Connection,
    declared: &[Declaration],
    mut idle: Vec<Channel>,
) -> (Vec<Channel>, Vec<Reason>) {
    let mut failed = Vec::new();
    let (bindings, others): (Vec<_>, Vec<_>) =
        declared.iter().partition(|declaration| matches!(declaration, Declaration::Binding { .. }));
    for group in [others, bindings] {
        let idle_or_not = group.iter().map(|_| idle.pop()).collect::<Vec<_>>();
        let ends = group.into_iter().zip(idle_or_not).map(async |(declaration, idle)| {
            let channel = match idle {
                Some(channel) => channel,
                None => in_time(connection.create_channel()).await?,
            };
            in_time(declare(&channel, declaration)).await?;
            Ok::<_, Failure>(channel)
        });
        for end in join_all(ends).await {
            match end {
                Ok(channel) => idle.push(channel),
                Err(failure) => failed.push(failure.into()),
            }
        }
    }
    (idle, failed)
}
