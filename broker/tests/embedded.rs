//! What only the embedded broker can show: faults on demand, hostile bytes, bounds, limits.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[path = "embedded/bounds.rs"]
mod bounds;
#[path = "embedded/faults.rs"]
mod faults;
#[path = "embedded/hostile.rs"]
mod hostile;
#[path = "embedded/order.rs"]
mod order;
#[path = "embedded/raw.rs"]
mod raw;
#[path = "embedded/refused.rs"]
mod refused;
#[path = "embedded/smoke.rs"]
mod smoke;
