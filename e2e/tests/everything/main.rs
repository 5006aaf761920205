//! Everything together in one process, on a real broker.

mod calls;
mod inputs;
mod system;
