//! The promises, tested on real processes: started, killed and restarted as an operator or an
//! accident would.

mod books;
mod cancels;
mod cluster;
mod command_line;
mod credentials;
mod deaths;
mod deletions;
mod health;
mod memory;
mod outages;
mod page;
mod panics;
mod pipes;
mod tls;
mod top;
mod up;
