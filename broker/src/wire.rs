//! Bytes to frames and back: what is read here is well-formed, or refused with an AMQP code.

mod decoder;
mod header;
mod nesting;
mod output;
mod refusal;

pub(crate) use decoder::{Decoder, Incoming, PROTOCOL_HEADER};
pub(crate) use header::ContentHeader;
pub(crate) use output::{Delivery, Output, heartbeat};
pub(crate) use refusal::{Code, Refusal, short};
