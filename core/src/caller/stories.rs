//! Stories of calls: what happens, when, and what follows.

mod custody;
mod deadlines;
mod fallback;
mod marks;
mod retries;
mod story;
mod trouble;
mod waiting;
