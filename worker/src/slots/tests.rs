use std::sync::Barrier;
use std::time::Duration;

use simple_dist_protocol::message::Answer;
use simple_dist_protocol::{
    Attempt, Callee, Erased, Function, JobId, JobKey, NoError, PureFunction, Term, codec,
};
use tokio::time::timeout;

use super::*;
use simple_dist_core::worker::Number;

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(20);

fn slots<A, R>(count: usize, function: PureFunction<A, R>) -> (Slots, mpsc::Receiver<Event>)
where
    A: simple_dist_protocol::Argument,
    R: simple_dist_protocol::Argument,
{
    serving(count, function.erased())
}

fn serving(count: usize, function: Erased) -> (Slots, mpsc::Receiver<Event>) {
    let registry = Arc::new(Registry::new(vec![function]).unwrap());
    let (sender, ran) = mpsc::channel(16);
    (Slots::start(count, 1024 * 1024, &registry, &sender).unwrap(), ran)
}

fn work<A, R>(number: u64, function: impl Callee<A, R, NoError>, argument: u64) -> Work {
    Work {
        number: Number(number),
        key: JobKey { user: "u".parse().unwrap(), id: JobId::from_u128(number.into()) },
        attempt: Attempt { term: Term(1), number: 1 },
        function: function.declaration().address(),
        args: codec::encode(&argument).unwrap().into(),
        trace: None,
    }
}

async fn next(ran: &mut mpsc::Receiver<Event>) -> (usize, Number, Answer) {
    let event = timeout(LIMIT, ran.recv()).await.expect("in time").expect("the slots live");
    let Event::Ran { slot, number, answer, took: _ } = event else { panic!("{event:?}") };
    (slot, number, answer)
}

#[tokio::test]
async fn slots_run_beside_each_other_on_threads_named_after_them() {
    static TOGETHER: Barrier = Barrier::new(2);
    const MEET: PureFunction<u64, String> = Function::pure("meet", 1, |_| {
        TOGETHER.wait();
        thread::current().name().unwrap_or_default().to_owned()
    });
    let (mut slots, mut ran) = slots(2, MEET);
    slots.run(0, vec![work(1, MEET, 0)]);
    slots.run(1, vec![work(2, MEET, 0)]);
    for _ in 0..2 {
        let (slot, number, answer) = next(&mut ran).await;
        assert_eq!(number, Number(slot as u64 + 1));
        let name = codec::encode(&format!("slot-{slot}")).unwrap();
        assert_eq!(answer, Answer::Value(name.into()));
    }
}

#[tokio::test]
async fn a_run_goes_in_order_and_over_a_panic() {
    const PICKY: PureFunction<u64, u64> = Function::pure("picky", 1, |n| {
        assert_ne!(n, 2, "not two");
        n
    });
    let (mut slots, mut ran) = slots(1, PICKY);
    slots.run(0, (1..=3).map(|n| work(n, PICKY, n)).collect());
    for n in 1..=3 {
        let (_, number, answer) = next(&mut ran).await;
        assert_eq!(number, Number(n));
        assert_eq!(matches!(answer, Answer::Panicked { .. }), n == 2);
    }
}

#[tokio::test]
async fn a_recalled_run_ends_what_it_began_and_begins_nothing_more() {
    static BEGUN: Barrier = Barrier::new(2);
    static END: Barrier = Barrier::new(2);
    const HELD: PureFunction<u64, u64> = Function::pure("held", 1, |n| {
        if n == 1 {
            BEGUN.wait();
            END.wait();
        }
        n
    });
    let (mut slots, mut ran) = slots(1, HELD);
    slots.run(0, vec![work(1, HELD, 1), work(2, HELD, 2)]);
    BEGUN.wait();
    assert_eq!(slots.recall(0), 1);
    END.wait();
    assert_eq!(next(&mut ran).await.1, Number(1));
    slots.run(0, vec![work(3, HELD, 3)]);
    assert_eq!(next(&mut ran).await.1, Number(3));
}

#[tokio::test]
async fn each_slot_makes_one_state_before_its_first_run() {
    const TALLY: Function<u64, u64> = Function::new("tally", 1);
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let init = || {
        MADE.fetch_add(1, Ordering::SeqCst);
        0
    };
    let tally = TALLY.erased_with(init, |sum, n: u64| {
        *sum += n;
        *sum
    });
    let (mut slots, mut ran) = serving(2, tally);
    for (number, slot, sum) in [(1, 0, 1), (2, 0, 3), (3, 1, 3), (4, 0, 7)] {
        slots.run(slot, vec![work(number, TALLY, number)]);
        let sum = codec::encode::<u64>(&sum).unwrap();
        assert_eq!(next(&mut ran).await, (slot, Number(number), Answer::Value(sum.into())));
    }
    assert_eq!(MADE.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn threads_end_with_their_slots() {
    const NOTHING: PureFunction<u64, u64> = Function::pure("nothing", 1, |n| n);
    let (slots, mut ran) = slots(4, NOTHING);
    drop(slots);
    assert!(timeout(LIMIT, ran.recv()).await.expect("in time").is_none());
}
