//! The promises, tested on real processes: started, killed and restarted as an operator or an
//! accident would.

mod bench;
mod books;
mod cancels;
mod cluster;
mod command_line;
mod credentials;
mod deaths;
mod deletions;
mod figures;
mod health;
mod history;
mod memory;
mod operators;
mod outages;
mod page;
mod panics;
mod pipes;
mod rollout;
mod slow;
mod tls;
mod top;
mod traces;
mod up;
