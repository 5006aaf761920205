//! What a job costs in messages: lists of 100 jobs of 100 bytes, written and joined as a publisher
//! does, and read.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Serialize;
use serde::de::DeserializeOwned;
use simple_dist_protocol::codec::Encoded;
use simple_dist_protocol::message::{
    Answer, Answered, Answers, Delivered, Deliveries, Delivery, End, Ended, FromClient, FromWorker,
    Marks, Place, Placement, Submission, Submit,
};
use simple_dist_protocol::{Attempt, ClientId, Generation, JobId, JobKey, Term, WorkerId, codec};

/// The jobs of a message.
const LIST: u128 = 100;
const TERM: Term = Term(1);

fn messages(criterion: &mut Criterion) {
    let worker = WorkerId::from_u128(3);
    let (client, generation) = (ClientId::from_u128(2), Generation(1));
    let submit = |jobs| FromClient::Submit(Submit { client, generation, jobs });
    let answers = |jobs| FromWorker::Answers(Answers { worker, jobs });
    measure(criterion, "submit", submission, submit);
    measure(criterion, "place", placement, |jobs| Place { term: TERM, jobs });
    measure(criterion, "answers", ended, answers);
    measure(criterion, "deliveries", delivery, |jobs| Deliveries { term: TERM, jobs });
}

fn measure<I: Serialize, M: Serialize + DeserializeOwned>(
    criterion: &mut Criterion,
    name: &str,
    item: impl Fn(u128) -> I,
    message: impl Fn(Vec<I>) -> M,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(u64::try_from(LIST).unwrap()));
    let items: Vec<I> = (0..LIST).map(item).collect();
    let envelope = codec::envelope(&message(vec![]));
    let written = || items.iter().map(|item| codec::encode_message(item).into()).collect();
    let join = |items: Vec<Encoded>| codec::join(&envelope, items.iter());
    group.bench_function("write", |bencher| bencher.iter(|| join(written())));
    let bytes = join(written());
    group.bench_function("read", |bencher| {
        bencher.iter(|| codec::decode::<M>(black_box(&bytes)).unwrap());
    });
}

fn submission(number: u128) -> Submission {
    Submission {
        id: JobId::from_u128(number),
        function: "echo@1".into(),
        args: args(),
        budget_ms: 60_000,
        priority: 4,
        marks: Marks::default(),
        trace: None,
        first: true,
        progress: false,
        has_fallback: true,
        fresh: false,
    }
}

fn placement(number: u128) -> Placement {
    Placement {
        key: key(number),
        function: "echo@1".parse().unwrap(),
        args: args(),
        budget_ms: 60_000,
        attempt: 1,
        start_confirmed: false,
        trace: None,
    }
}

fn ended(number: u128) -> Ended {
    Ended {
        key: key(number),
        attempt: Attempt { term: TERM, number: 1 },
        end: End::Answer(Answer::Value(args())),
        took_us: 5,
    }
}

fn delivery(number: u128) -> Delivery {
    let answered = Answered {
        answer: Answer::Value(args()),
        worker: Some(WorkerId::from_u128(3)),
        attempt: 1,
        waited_ms: 3,
        took_us: 5,
        bound: None,
        coalesced: false,
        memo_age_ms: None,
    };
    Delivery { id: JobId::from_u128(number), body: Delivered::Answer(answered) }
}

fn key(number: u128) -> JobKey {
    JobKey { user: "guest".parse().unwrap(), id: JobId::from_u128(number) }
}

fn args() -> Bytes {
    Bytes::from_static(&[7; 100])
}

criterion_group!(benches, messages);
criterion_main!(benches);
