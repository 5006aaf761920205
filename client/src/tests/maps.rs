//! Maps.

use super::*;

#[tokio::test]
async fn a_map_keeps_the_order_of_its_arguments_and_says_how_many_are_left() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map(0..5).in_flight(2).ordered();
    assert_eq!(values.size_hint(), (5, Some(5)));
    assert!(values.next().now_or_never().is_none());
    let mut begun = seat.begun();
    assert_eq!(begun.len(), 2);
    answer(begun.pop().unwrap());
    assert!(values.next().now_or_never().is_none());
    assert!(seat.begun().is_empty(), "the second waits for the first and counts as in flight");
    answer(begun.pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(0)));
    assert_eq!(values.next().await, Some(Ok(2)));
    assert_eq!(values.size_hint(), (3, Some(3)));
}

#[tokio::test]
async fn an_unordered_map_gives_values_as_they_come() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map(1..=2).unordered();
    assert!(values.next().now_or_never().is_none());
    let mut begun = seat.begun();
    answer(begun.pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(4)));
    answer(begun.pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(2)));
    assert_eq!(values.next().await, None);
}

#[tokio::test]
async fn where_costs_are_known_the_longest_calls_begin_first_and_values_keep_their_order() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map([3, 9, 1, 9, 5]).cost(|n| *n).in_flight(2);
    let mut waves = vec![];
    let mut items = vec![];
    while items.len() < 5 {
        match values.next().now_or_never() {
            Some(item) => items.push(item.unwrap().unwrap()),
            None => {
                let begun = seat.begun();
                waves.push(begun.iter().map(number).collect::<Vec<_>>());
                begun.into_iter().for_each(answer);
                let left = 5 - items.len();
                assert_eq!(values.size_hint(), (left, Some(left)));
            }
        }
    }
    assert_eq!(waves, [vec![9, 9], vec![5, 3], vec![1]]);
    assert_eq!(items, [6, 18, 2, 18, 10]);
    assert_eq!(values.next().await, None);
}

#[tokio::test]
async fn a_map_by_cost_holds_two_windows_at_most() {
    let (client, mut seat) = detached();
    let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let arguments = (0..5_000).inspect(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let mut values = client.function(DOUBLE).map(arguments).cost(|n| *n).in_flight(16);
    // The first value, the cheapest of its window, does not come.
    let (mut first, mut done) = (None, 0);
    let mut quiet = 0;
    while done < 5_000 {
        match values.next().now_or_never() {
            Some(item) => {
                assert_eq!(item, Some(Ok(done * 2)));
                done += 1;
            }
            None => {
                let (held, others): (Vec<_>, Vec<_>) =
                    seat.begun().into_iter().partition(|begin| number(begin) == 0);
                first = held.into_iter().next().or(first);
                quiet = if others.is_empty() { quiet + 1 } else { 0 };
                others.into_iter().for_each(answer);
                if quiet == 3 {
                    let taken = taken.load(std::sync::atomic::Ordering::Relaxed);
                    assert_eq!(taken, 2 * 1024);
                    answer(first.take().unwrap());
                }
                tokio::task::yield_now().await;
            }
        }
    }
    assert_eq!(values.next().await, None);
}

#[tokio::test]
async fn a_map_by_cost_does_not_wait_for_a_window_to_be_full() {
    let (client, mut seat) = detached();
    let arguments = futures_util::stream::iter([1, 2]).chain(futures_util::stream::pending());
    let mut values = client.function(DOUBLE).map_stream(arguments).cost(|n| *n).unordered();
    assert!(values.next().now_or_never().is_none());
    assert_eq!(seat.begun().iter().map(number).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn a_failed_call_does_not_end_its_map() {
    let (client, _link) = offline();
    const ODD: PureFunction<u64, u64> = Function::pure("odd", 1, |n| {
        assert!(n % 2 == 1, "even");
        n
    });
    let items: Vec<_> = client.function(ODD).map(1..=3).collect().await;
    assert!(matches!(items[..], [Ok(1), Err(CallError::Panicked { .. }), Ok(3)]));
}

#[tokio::test]
async fn a_dropped_map_cancels_its_calls() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map(0..9).in_flight(3);
    assert!(values.next().now_or_never().is_none());
    assert_eq!(seat.begun().len(), 3);
    drop(values);
    assert_eq!(seat.shared.dropped.take().len(), 3);
}

#[tokio::test]
async fn keyed_items_say_which_argument_they_are_of() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map([7, 8]).unordered().keyed();
    assert!(values.next().now_or_never().is_none());
    let mut begun = seat.begun();
    answer(begun.pop().unwrap());
    assert_eq!(values.next().await, Some(((1, 8), Ok(16))));
    begun.pop().unwrap().reply.send(Err(CallError::Cancelled)).unwrap();
    assert_eq!(values.next().await, Some(((0, 7), Err(CallError::Cancelled))));
    assert_eq!(values.next().await, None);

    let (client, _link) = offline();
    let named = client.function(DOUBLE).map([7, 8]).keyed_by(|place, n| format!("{place}: {n}"));
    let named: Vec<_> = named.blocking().collect();
    assert_eq!(named, [("0: 7".to_owned(), Ok(14)), ("1: 8".to_owned(), Ok(16))]);
    let mut detailed = client.function(DOUBLE).map([7]).keyed().detailed().blocking();
    let (key, answer) = detailed.next().unwrap();
    assert!(matches!(
        (key, answer),
        ((0, 7), Ok(Answer { value: 14, ran: Ran::Local { .. }, .. }))
    ));
}

#[tokio::test]
async fn a_map_takes_its_arguments_as_they_come() {
    let (client, mut seat) = detached();
    let (send, sent) = tokio::sync::oneshot::channel();
    let arguments = futures_util::stream::iter([1])
        .chain(futures_util::stream::once(async { sent.await.unwrap() }));
    let mut values = client.function(DOUBLE).map_stream(arguments);
    assert!(values.next().now_or_never().is_none());
    answer(seat.begun().pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(2)));
    assert!(values.next().now_or_never().is_none(), "there may be more");
    send.send(2).unwrap();
    assert!(values.next().now_or_never().is_none());
    answer(seat.begun().pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(4)));
    assert_eq!(values.next().await, None);
}

/// However many there are.
#[tokio::test]
async fn a_map_holds_no_more_than_what_is_in_flight() {
    let (client, mut seat) = detached();
    let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let arguments = (0..20_000).inspect(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let mut values = client.function(DOUBLE).map(arguments).in_flight(16).unordered().keyed();
    let mut done = 0;
    while done < 20_000 {
        match values.next().now_or_never() {
            Some(Some(((_, n), value))) => {
                assert_eq!(value, Ok(n * 2));
                done += 1;
            }
            Some(None) => panic!("{done} of 20,000"),
            None => {
                seat.begun().into_iter().for_each(answer);
                tokio::task::yield_now().await;
            }
        }
        let taken = taken.load(std::sync::atomic::Ordering::Relaxed);
        assert!(taken <= done + 16, "{taken} taken, {done} done");
    }
    assert_eq!(values.next().await, None);
}

#[tokio::test]
async fn a_map_tells_how_far_it_is() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map(0..5).in_flight(2);
    let mut told = values.progress();
    let mut last = || {
        let progress = told.next().now_or_never()??;
        Some((progress.done, progress.failed, progress.running, progress.total))
    };
    assert_eq!(last(), None);
    assert!(values.next().now_or_never().is_none());
    assert_eq!(last(), Some((0, 0, 2, Some(5))));
    assert_eq!(last(), None, "nothing changed");
    let mut begun = seat.begun().into_iter();
    answer(begun.next().unwrap());
    begun.next().unwrap().reply.send(Err(CallError::Cancelled)).unwrap();
    assert_eq!(values.next().await, Some(Ok(0)));
    assert_eq!(values.next().await, Some(Err(CallError::Cancelled)));
    assert_eq!(last(), Some((2, 1, 1, Some(5))));
    drop(values);
    assert!(told.next().await.is_none());
    let mut none = client.function(DOUBLE).map([]);
    let told = none.progress();
    assert_eq!(none.next().await, None);
    timeout(LIMIT, told.collect::<Vec<_>>()).await.expect("it ends before the map is dropped");
    drop(none);
}

#[tokio::test]
async fn a_whole_map_has_its_times() {
    const STUCK: PureFunction<u8, u8> = Function::pure("stuck", 1, |n| {
        TOGETHER.wait();
        n
    });
    static TOGETHER: Barrier = Barrier::new(2);
    let (client, _link) = offline_with(1);
    let soon = Duration::from_millis(50);
    // Long enough to begin.
    let stuck = client.function(STUCK).map(0..4).in_flight(2).deadline_all(soon * 40);
    let ends: Vec<_> = timeout(LIMIT, stuck.collect()).await.expect("in time");
    assert_eq!(ends, [(); 4].map(|()| Err(CallError::Deadline)));
    let waits = client.function(DOUBLE).fallback(Fallback::Wait).map(0..3).in_flight(1);
    let waits = waits.timeout_all(soon).collect();
    let ends: Vec<_> = timeout(LIMIT, waits).await.expect("in time");
    assert_eq!(ends, [(); 3].map(|()| Err(CallError::Timeout)));
    TOGETHER.wait();
}
