//! The status page in a real browser, on a whole cluster: what a visitor sees, and when.
//!
//! The tests need Chromium's driver, so they are asked for by name:
//! `cargo test -p simple-dist-e2e --test browser -- --ignored`. `CHROMEDRIVER` names another one.

mod access;
mod browser;
mod facts;
mod tasks;
