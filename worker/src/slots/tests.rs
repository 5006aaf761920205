use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use simple_dist_protocol::message::Answer;
use simple_dist_protocol::{
    Attempt, Callee, Erased, Function, JobId, JobKey, NoError, PureFunction, Term, codec, job,
};
use tokio::runtime::Handle;
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
    let bodies = Bodies::Sync(Registry::new(vec![function]), 1024 * 1024);
    let (happened, ran) = mpsc::channel(16);
    (Slots::start(count, bodies, WorkerId::from_u128(1), Instant::now(), happened).unwrap(), ran)
}

fn work<A, R>(number: u64, function: impl Callee<A, R, NoError>, argument: u64) -> Work {
    Work {
        number: Number(number),
        key: JobKey { user: "u".parse().unwrap(), id: JobId::from_u128(number.into()) },
        attempt: Attempt { term: Term(1), number: 1 },
        function: function.declaration().address(),
        args: codec::encode(&argument).unwrap().into(),
        deadline: LIMIT * 9,
        trace: None,
    }
}

async fn next(ran: &mut mpsc::Receiver<Event>) -> (usize, Number, Answer) {
    let event = timeout(LIMIT, ran.recv()).await.expect("in time").expect("the slots live");
    let Event::Ran { slot, number, answer, took: _ } = event else { panic!("{event:?}") };
    (slot, number, answer)
}

#[tokio::test]
async fn slots_run_beside_each_other_on_threads_with_names_of_their_own() {
    static TOGETHER: Barrier = Barrier::new(2);
    const MEET: PureFunction<u64, String> = Function::pure("meet", 1, |_| {
        TOGETHER.wait();
        thread::current().name().unwrap_or_default().to_owned()
    });
    let (mut slots, mut ran) = slots(2, MEET);
    slots.run(0, vec![work(1, MEET, 0)]).unwrap();
    slots.run(1, vec![work(2, MEET, 0)]).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let (slot, number, answer) = next(&mut ran).await;
        assert_eq!(number, Number(slot as u64 + 1));
        let Answer::Value(name) = answer else { panic!("{answer:?}") };
        names.insert(codec::decode::<String>(&name).unwrap());
    }
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("slot-")), "{names:?}");
}

#[tokio::test]
async fn a_run_goes_in_order_and_over_a_panic() {
    const PICKY: PureFunction<u64, u64> = Function::pure("picky", 1, |n| {
        assert_ne!(n, 2, "not two");
        n
    });
    let (mut slots, mut ran) = slots(1, PICKY);
    slots.run(0, (1..=3).map(|n| work(n, PICKY, n)).collect()).unwrap();
    for n in 1..=3 {
        let (_, number, answer) = next(&mut ran).await;
        assert_eq!(number, Number(n));
        assert_eq!(panicked_in(&answer, "src/slots/tests.rs:"), n == 2, "{answer:?}");
    }
}

/// Whether a function panicked, in this file.
fn panicked_in(answer: &Answer, file: &str) -> bool {
    matches!(answer, Answer::Panicked { location: Some(at), .. } if at.contains(file))
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
    slots.run(0, vec![work(1, HELD, 1), work(2, HELD, 2)]).unwrap();
    BEGUN.wait();
    assert_eq!(slots.recall(0), 1);
    END.wait();
    assert_eq!(next(&mut ran).await.1, Number(1));
    slots.run(0, vec![work(3, HELD, 3)]).unwrap();
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
        slots.run(slot, vec![work(number, TALLY, number)]).unwrap();
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

const ASYNC: Function<u64, u64> = Function::new("async", 1);

fn tasks<F: Future<Output = u64> + Send + 'static>(
    body: impl Fn(u64) -> F + Send + Sync + 'static,
) -> (Slots, mpsc::Receiver<Event>) {
    let (happened, ran) = mpsc::channel(16);
    let bodies = Bodies::Async(vec![ASYNC.erased_async(body)], Handle::current());
    (Slots::start(2, bodies, WorkerId::from_u128(1), Instant::now(), happened).unwrap(), ran)
}

#[tokio::test]
async fn async_bodies_run_beside_each_other_and_a_panic_is_an_answer() {
    let meet = Arc::new(tokio::sync::Barrier::new(2));
    let (mut slots, mut ran) = tasks(move |n| {
        let meet = Arc::clone(&meet);
        async move {
            meet.wait().await;
            assert_ne!(n, 2, "not two");
            n
        }
    });
    slots.run(0, vec![work(1, ASYNC, 1)]).unwrap();
    slots.run(1, vec![work(2, ASYNC, 2)]).unwrap();
    for _ in 0..2 {
        let (slot, number, answer) = next(&mut ran).await;
        assert_eq!(number, Number(slot as u64 + 1));
        let panicked = panicked_in(&answer, "src/slots/tests.rs:");
        assert_eq!(panicked, number == Number(2), "{answer:?}");
    }
}

#[tokio::test]
async fn a_stopped_body_is_dropped_and_what_was_given_behind_it_runs() {
    let held = Arc::new(());
    let kept = Arc::clone(&held);
    let (begun, mut begins) = mpsc::channel(1);
    let (mut slots, mut ran) = tasks(move |n| {
        let (kept, begun) = (Arc::clone(&kept), begun.clone());
        async move {
            let _kept = kept;
            if n == 1 {
                begun.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }
            n
        }
    });
    slots.run(0, vec![work(1, ASYNC, 1), work(2, ASYNC, 2)]).unwrap();
    timeout(LIMIT, begins.recv()).await.expect("in time").expect("it begins");
    assert_eq!(Arc::strong_count(&held), 3);
    slots.stop(0, Number(1));
    assert_eq!(next(&mut ran).await, (0, Number(1), Answer::Cancelled));
    assert_eq!(next(&mut ran).await.1, Number(2));
    assert_eq!(Arc::strong_count(&held), 2);
}

#[tokio::test]
async fn what_runs_knows_its_job_on_threads_and_in_tasks() {
    fn seen(word: u64) -> u64 {
        let Some(job) = job::current() else { return 0 };
        assert_eq!((job.id(), job.attempt()), (JobId::from_u128(word.into()), 1));
        assert!(!job.is_cancelled() && job.remaining() > LIMIT);
        word
    }
    const SEEN: PureFunction<u64, u64> = Function::pure("seen", 1, seen);
    let value = |n: u64| Answer::Value(codec::encode(&n).unwrap().into());
    let (mut threads, mut ran) = slots(1, SEEN);
    threads.run(0, vec![work(7, SEEN, 7)]).unwrap();
    assert_eq!(next(&mut ran).await.2, value(7));
    let (mut slots, mut ran) = tasks(|n| async move {
        tokio::task::yield_now().await;
        seen(n)
    });
    slots.run(0, vec![work(8, ASYNC, 8)]).unwrap();
    assert_eq!(next(&mut ran).await.2, value(8));
    assert!(job::current().is_none());
}

#[tokio::test]
async fn a_job_on_a_thread_sees_that_it_is_stopped() {
    const STUCK: PureFunction<u64, u64> = Function::pure("stuck", 1, |n| {
        let job = job::current().unwrap();
        while !job.is_cancelled() {
            thread::yield_now();
        }
        n
    });
    let (mut slots, mut ran) = slots(1, STUCK);
    slots.run(0, vec![work(1, STUCK, 1), work(2, STUCK, 2)]).unwrap();
    for number in [1, 2] {
        slots.stop(0, Number(number));
        assert_eq!(next(&mut ran).await.1, Number(number));
    }
}

#[tokio::test]
async fn a_thread_that_waits_asks_for_another_place_and_else_runs_the_call_itself() {
    use simple_dist_protocol::nested;
    /// It calls itself with one less, in place or, at 1, only waits.
    const NESTED: PureFunction<u64, u64> = Function::pure("nested", 1, |n| {
        let _waiting = nested::wait();
        if !nested::is_refused() {
            return n;
        }
        let (address, less) = (NESTED.address(), codec::encode(&(n - 1)).unwrap());
        let end = nested::run_here(|place| place.run(&address, &less)).expect("it is served");
        n + codec::decode::<u64>(&end.unwrap()).unwrap()
    });
    let (mut slots, mut ran) = slots(1, NESTED);
    slots.run(0, vec![work(1, NESTED, 2)]).unwrap();
    // Refused, and granted to the call within.
    for lent in [false, true] {
        let event = timeout(LIMIT, ran.recv()).await.expect("in time");
        assert!(matches!(event, Some(Event::Waits { slot: 0, number: Number(1) })), "{event:?}");
        slots.lend(0, Number(1), lent);
    }
    let event = timeout(LIMIT, ran.recv()).await.expect("in time");
    assert!(matches!(event, Some(Event::Resumes { slot: 0, number: Number(1) })), "{event:?}");
    assert_eq!(next(&mut ran).await.2, Answer::Value(codec::encode(&3_u64).unwrap().into()));
    // A place that was lent has another thread.
    slots.run(1, vec![]).unwrap();
}

#[tokio::test]
async fn a_task_that_waits_says_so_however_much_else_the_worker_has_to_take() {
    const WAITS: Function<u64, u64> = Function::new("waits", 1);
    let body = |_| async {
        let _open = simple_dist_protocol::nested::begin_call();
        std::future::pending::<u64>().await
    };
    let (happened, mut ran) = mpsc::channel(1);
    happened.try_send(Event::Tick).unwrap();
    let bodies = Bodies::Async(vec![WAITS.erased_async(body)], Handle::current());
    let mut slots =
        Slots::start(1, bodies, WorkerId::from_u128(1), Instant::now(), happened).unwrap();
    slots.run(0, vec![work(1, WAITS, 0)]).unwrap();
    tokio::task::yield_now().await;
    assert!(matches!(ran.recv().await, Some(Event::Tick)));
    let event = timeout(LIMIT, ran.recv()).await.expect("in time");
    assert!(matches!(event, Some(Event::Waits { slot: 0, number: Number(1) })), "{event:?}");
}
