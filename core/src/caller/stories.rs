//! Stories of calls: what happens, when, and what follows.

mod custody;
mod fallback;
mod marks;
mod story;
mod trouble;
