//! What the broker says of a message that was published.

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it.
    Confirmed,
    /// It was mandatory and there is no such queue.
    Returned,
    /// The broker refused it: its queue is full.
    Refused,
}
