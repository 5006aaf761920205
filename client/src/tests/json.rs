//! Calls by JSON.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_call_by_json_runs_here_if_the_function_is_known() {
    let (client, _link) = offline();
    let div = client.dynamic_with(DIV.erased());
    assert_eq!(div.call_args(&[json!(6), json!(3)]).await, Ok(json!(2)));
    let Err(CallError::Function(failed)) = div.call_args(&[json!(1), json!(0)]).await else {
        panic!("it fails")
    };
    assert_eq!((failed.text.as_str(), failed.error), ("by zero", json!("by zero")));
    let wrong = div.call(json!("six")).await;
    assert!(matches!(wrong, Err(CallError::BadArguments { .. })), "{wrong:?}");
    let unknown = client.dynamic("div").unwrap().call(json!([6, 3])).await;
    assert_eq!(unknown, Err(CallError::Unavailable { reason: Reason::NoConnection }));
    assert!(client.dynamic("Not A Name").is_err());
}

/// JSON has the limits of MessagePack: there is no call by JSON that needs neither.
#[tokio::test]
async fn by_json_a_value_that_cannot_be_written_is_an_error() {
    const NOTHING: PureFunction<(), Nested> = Function::pure("nothing", 1, |()| Some(None));
    let (client, _link) = offline();
    let end = client.dynamic_with(NOTHING.erased()).call_args(&[]).await;
    assert!(matches!(end, Err(CallError::Unsendable { .. })), "{end:?}");
}

/// A run here that needs no wire, of an argument that is too large for it, written or not.
#[tokio::test]
async fn by_json_an_argument_that_is_too_large_runs_here() {
    let (client, _link) = offline();
    let text = "x".repeat(limits::ARGUMENT_BYTES);
    const CHARS: PureFunction<String, usize> = Function::pure("chars", 1, |text| text.len());
    let answer = client.dynamic_with(CHARS.erased()).call(json!(text)).detailed().await.unwrap();
    assert_eq!(answer.value, json!(limits::ARGUMENT_BYTES));
    assert_eq!(answer.ran, Ran::Local { reason: Reason::TooLarge });
}

#[tokio::test]
async fn a_call_by_json_has_options_as_every_call() {
    let (client, mut seat) = detached();
    let mut call = client.dynamic("double").unwrap().priority(9).call(json!(4));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(seat.begun().pop().unwrap().options.priority, 9);
}
