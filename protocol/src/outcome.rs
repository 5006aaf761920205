//! The broker's report about a published message.

/// The outcome of publishing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has accepted it.
    Confirmed,
    /// It was mandatory and there is no such queue.
    Returned,
    /// The broker refused it: its queue is full.
    Refused,
}
