//! Stories of calls: what happens, when, and what follows.

mod busy;
mod custody;
mod deadlines;
mod fallback;
mod isolated;
mod marks;
mod progress;
mod retries;
mod story;
mod trouble;
mod waiting;
