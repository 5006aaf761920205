//! The promises, tried on real processes: started, killed and restarted as an operator or an
//! accident would.

mod command_line;
mod deaths;
mod farm;
mod outages;
