//! Calls as their callers see them, without a broker: the test plays the link, or the whole
//! thread behind the handle.

mod calls;
mod here;
#[cfg(feature = "json")]
mod json;
mod maps;
mod travel;
mod waiting;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use simple_dist_link as link;
use simple_dist_protocol::{Argument, Function, PureFunction, WorkerId, codec, limits};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::answer::{Failed, Value};
use crate::dropped::Shared;
use crate::erased_value::tests::Sharp;
use crate::new_call::{Arguments, NewCall};
use crate::{Answer, CallError, Client, Fallback, Ran, Reason, Retry};

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(20);

const DOUBLE: PureFunction<u64, u64> = Function::pure("double", 1, |n| n * 2);
const LENGTH: PureFunction<Vec<u8>, usize> = Function::pure("length", 1, |bytes| bytes.len());
const NEVER: PureFunction<u64, u64> = Function::pure("never", 1, |n| panic!("not {n}"));
const DIV: PureFunction<(i64, i64), i64, String> =
    Function::pure("div", 1, |(a, b)| a.checked_div(b).ok_or_else(|| "by zero".to_owned()));

/// A client whose first connection has failed; it lives as long as the sender.
fn offline() -> (Client, mpsc::Sender<link::Event>) {
    offline_with(2)
}

fn offline_with(local_slots: usize) -> (Client, mpsc::Sender<link::Event>) {
    let (events, link) = mpsc::channel(16);
    let problem = "refused".to_owned();
    let reason = link::Reason::Unreachable { address: "localhost:1".to_owned(), problem };
    events.try_send(link::Event::Down(reason)).unwrap();
    (Client::with_link(link, local_slots), events)
}

/// What a client's thread would see.
struct Seat {
    begins: mpsc::Receiver<NewCall>,
    shared: Arc<Shared>,
}

impl Seat {
    fn begun(&mut self) -> Vec<NewCall> {
        std::iter::from_fn(|| self.begins.try_recv().ok()).collect()
    }
}

fn detached() -> (Client, Seat) {
    let (client, begins, shared) = Client::detached();
    (client, Seat { begins, shared })
}

/// Answers a call of `DOUBLE` as a worker would.
fn answer(begin: NewCall) {
    let Arguments::Encoded(args) = &begin.arguments else { panic!("it cannot travel") };
    let value = Value::Encoded(DOUBLE.erased().run(args).unwrap().into());
    let ran = Ran::Remote { worker: WorkerId::from_u128(7), attempt: 1 };
    let (waited, took) = (Duration::ZERO, Duration::ZERO);
    begin.reply.send(Ok(Answer { value, ran, waited, took })).unwrap();
}

/// The argument of a call of `DOUBLE`.
fn number(begin: &NewCall) -> u64 {
    let Arguments::Encoded(args) = &begin.arguments else { panic!("it cannot travel") };
    codec::decode(args).unwrap()
}

type Nested = Option<Option<u8>>;
