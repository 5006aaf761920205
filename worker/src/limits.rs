//! The bounds of what a worker can be told.

use std::time::Duration;

/// A worker has this many slots at most: each is a thread, and a place in its beats.
pub const SLOTS_MAX: usize = 1024;
/// And this many async slots: each is a place in its beats, which name all that runs, about 90
/// bytes each, once a second.
pub const ASYNC_SLOTS_MAX: usize = 4096;
/// At most this many slots lend their places at once, while their jobs wait for calls of their own by
/// `blocking`: each takes one thread more. Jobs may call each other this deep; beyond it they run
/// what they call in place.
pub const LENT_MAX: usize = 128;
/// And so many slots that are processes of their own: each takes one process more.
pub const ISOLATED_LENT_MAX: usize = 32;
/// And so many async slots, while their jobs await calls of their own: beyond it they keep their
/// slots.
pub const ASYNC_LENT_MAX: usize = 4096;
/// Running jobs get this long at most when the worker is told to leave.
pub const GRACE_MAX: Duration = Duration::from_secs(24 * 3600);
