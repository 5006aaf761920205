//! What cannot travel.

use super::*;

/// What MessagePack cannot carry, as argument and as value.
const SAME: PureFunction<Nested, Nested> = Function::pure("same", 1, |nested| nested);

const UNIT: PureFunction<Option<()>, Option<()>> = Function::pure("unit", 1, |unit| unit);

const DEEPER: PureFunction<Deep, Deep> = Function::pure("deeper", 1, |deep| Deep(vec![deep]));

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Deep(Vec<Self>);

impl Deep {
    fn of(levels: usize) -> Self {
        (1..levels).fold(Self::default(), |deep, _| Self(vec![deep]))
    }
}

/// A call gives what the function gives, also where it has to run here for it.
async fn gives<A, R>(client: &Client, function: PureFunction<A, R>, argument: impl Fn() -> A)
where
    A: Argument,
    R: Argument + std::fmt::Debug + PartialEq,
{
    let answer = client.function(function).call(argument()).detailed().await.unwrap();
    assert_eq!(answer.value, function.run(argument()));
    assert!(matches!(answer.ran, Ran::Local { .. }), "{:?}", answer.ran);
}

#[tokio::test]
async fn what_cannot_be_sent_runs_here_as_it_is() {
    let (client, _link) = offline();
    gives(&client, SAME, || Some(None)).await;
    gives(&client, UNIT, || Some(())).await;
    gives(&client, DEEPER, || Deep::of(limits::DEPTH)).await;
    gives(&client, DEEPER, || Deep::of(limits::DEPTH + 1)).await;
    let answer = client.function(SAME).call(Some(None)).detailed().await.unwrap();
    assert_eq!(answer.ran, Ran::Local { reason: Reason::Unsendable });
    let values: Vec<_> = client.function(SAME).map([None, Some(None)]).collect().await;
    assert_eq!(values, [Ok(None), Ok(Some(None))]);
}

#[tokio::test]
async fn what_cannot_be_sent_is_an_error_where_it_is_not_to_run() {
    let (client, _link) = offline();
    let end = client.function(SAME).call(Some(None)).fallback(Fallback::Never).await;
    let Err(CallError::Unsendable { message }) = end else { panic!("{end:?}") };
    assert!(message.contains("struct"), "it names a way out: {message}");
    let deep = Deep::of(limits::DEPTH + 1);
    let end = client.function(DEEPER).call(deep).fallback(Fallback::Never).await;
    let Err(CallError::Unsendable { message }) = end else { panic!("{end:?}") };
    assert!(message.contains("128"), "it names the limit: {message}");
}

#[tokio::test]
async fn what_is_too_large_to_travel_runs_here_or_is_refused() {
    let (client, _link) = offline();
    let length = client.function(LENGTH);
    let call = || length.call(vec![200; 7_000_000]);
    let answer = call().detailed().await.unwrap();
    assert_eq!((answer.value, answer.ran), (7_000_000, Ran::Local { reason: Reason::TooLarge }));
    let refused = call().fallback(Fallback::Never).await;
    let limit = limits::ARGUMENT_BYTES as u64;
    assert_eq!(refused, Err(CallError::TooLarge { bytes: 14_000_005, limit }));
}
