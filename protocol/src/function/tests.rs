//! Functions on bytes: values, errors, panics, states.

use serde::Deserialize;

use super::*;
use crate::limits;

const DIV: PureFunction<(i64, i64), i64, String> =
    Function::pure("div", 1, |(a, b)| a.checked_div(b).ok_or_else(|| "by zero".to_owned()));

#[test]
fn an_erased_function_runs_on_bytes() {
    let value = DIV.erased().run(&codec::encode(&(6, 3)).unwrap()).unwrap();
    assert_eq!(codec::decode::<i64>(&value).unwrap(), 2);
}

#[test]
fn a_result_as_a_value_is_told_from_a_function_that_can_fail() {
    assert!(Function::<(), Result<u64, String>>::new("f", 1).hides_errors());
    assert!(!Function::<(), u64, String>::new("f", 1).hides_errors());
    assert!(!Function::<(), Option<Result<u64, String>>>::new("f", 1).hides_errors());
    assert!(!Function::<(), Result<u64, String>, String>::new("f", 1).hides_errors());
}

#[test]
fn an_error_is_written_with_its_text() {
    let Err(RunError::Failed { text, error }) = DIV.erased().run(&codec::encode(&(1, 0)).unwrap())
    else {
        panic!("it fails")
    };
    assert_eq!(text, "by zero");
    assert_eq!(<String as Failure>::read(&error).unwrap(), "by zero");
    assert!(NoError::read(&error).is_err());
}

/// It cannot be written so that it would come back, or it cannot be told.
#[derive(Debug, Serialize, Deserialize)]
struct Odd(Option<Option<u8>>);

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(self.0.is_some(), "it has no words");
        f.write_str(&"odd ".repeat(limits::MESSAGE_CHARS))
    }
}

#[test]
fn an_error_that_cannot_be_sent_or_told_harms_nobody() {
    const FAIL: PureFunction<Odd, (), Odd> = Function::pure("fail", 1, Err);
    let run = |odd| FAIL.declaration().run_caught(FAIL.body(), odd);
    let Err(RunError::Failed { text, .. }) = run(Odd(Some(None))) else { panic!("it fails") };
    assert_eq!(text.chars().count(), limits::MESSAGE_CHARS);
    assert!(matches!(run(Odd(None)), Err(RunError::Panicked(words)) if words == "it has no words"));
    const ODD: PureFunction<(), (), Odd> = Function::pure("odd", 1, |()| Err(Odd(Some(None))));
    let end = ODD.erased().run(&codec::encode(&()).unwrap());
    assert!(matches!(end, Err(RunError::Error { .. })), "{end:?}");
}

#[test]
fn a_wrong_argument_is_an_error_that_names_the_type() {
    let error = DIV.erased().run(&codec::encode("six").unwrap()).unwrap_err();
    assert!(matches!(error, RunError::Argument { expected: "(i64, i64)", .. }));
}

/// It panics whenever it is dropped.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sharp;

impl Drop for Sharp {
    fn drop(&mut self) {
        panic!("dropped")
    }
}

/// The message of the panic that a run without an argument ends with.
#[track_caller]
fn panics<A: Argument, R: Argument>(function: &PureFunction<A, R>) -> String {
    match function.erased().run(&codec::encode(&()).unwrap()) {
        Err(RunError::Panicked(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whatever_panics_ends_the_run_and_nothing_else() {
    const WORDS: PureFunction<(), ()> = Function::pure("words", 1, |()| panic!("{}", "of its own"));
    const ODD: PureFunction<(), ()> = Function::pure("odd", 1, |()| std::panic::panic_any(7_u8));
    const TWICE: PureFunction<(), ()> =
        Function::pure("twice", 1, |()| std::panic::panic_any(Sharp));
    const TAKEN: PureFunction<Sharp, ()> = Function::pure("taken", 1, |_sharp| ());
    const GIVEN: PureFunction<(), Sharp> = Function::pure("given", 1, |()| Sharp);
    const LONG: PureFunction<(), ()> = Function::pure("long", 1, |()| panic!("{:9999}", ""));
    assert_eq!(panics(&WORDS), "of its own");
    assert_eq!((panics(&TAKEN), panics(&GIVEN)), ("dropped".to_owned(), "dropped".to_owned()));
    assert_eq!(panics(&ODD), panics(&TWICE));
    assert_eq!(panics(&LONG).len(), limits::MESSAGE_CHARS);
}

#[test]
fn a_state_lasts_from_run_to_run_and_is_made_anew_after_a_panic() {
    const COUNTED: Function<bool, u32> = Function::new("counted", 1);
    let counted = COUNTED.erased_with(
        || (0, Some(Sharp)),
        |(count, sharp): &mut (u32, Option<Sharp>), calm| {
            *count += 1;
            assert!(calm, "not calm");
            std::mem::forget(sharp.take());
            *count
        },
    );
    let mut runner = counted.runner();
    let mut run = |calm: bool| {
        let value = runner.run(&codec::encode(&calm).unwrap());
        value.map(|value| codec::decode::<u32>(&value).unwrap())
    };
    assert_eq!((run(true).unwrap(), run(true).unwrap()), (1, 2));
    assert!(matches!(run(false), Err(RunError::Panicked(_))));
    // This one has a state that panics when it is dropped.
    assert!(matches!(run(false), Err(RunError::Panicked(_))));
    assert_eq!(run(true).unwrap(), 1);
}

#[derive(Debug, Serialize, Deserialize)]
struct Circle {
    radius: f64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Shape {
    Circle(Circle),
}

#[track_caller]
fn refuses<A: Argument>(argument: &impl Serialize, sentence: &str) {
    let function = Function::<A, ()>::pure("f", 1, |_| ()).erased();
    let error = function.run(&codec::encode(argument).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), sentence);
}

#[test]
fn a_wrong_argument_is_told_in_one_sentence() {
    refuses::<u64>(&-5, "f@1 takes a u64, not -5");
    refuses::<u64>(&20.5, "f@1 takes a u64, not 20.5");
    refuses::<u64>(&"20", "f@1 takes a u64, not \"20\"");
    refuses::<u64>(&(), "f@1 takes a u64, not null");
    refuses::<u8>(&300, "f@1 takes a u8, not 300");
    refuses::<f64>(&"x", "f@1 takes an f64, not \"x\"");
    refuses::<bool>(&1, "f@1 takes a bool, not 1");
    refuses::<()>(&5, "f@1 takes no argument, not 5");
    refuses::<String>(&5, "f@1 takes a String, not 5");
    refuses::<(u64, u32)>(&[2], "f@1 takes (u64, u32), not [2]");
    refuses::<(u64, u32)>(&2, "f@1 takes (u64, u32), not 2");
    refuses::<Vec<Option<i64>>>(&["x"], "f@1 takes a Vec<Option<i64>>, not [\"x\"]");
    refuses::<Option<u64>>(&"x", "f@1 takes an Option<u64>, not \"x\"");
    let sides = std::collections::BTreeMap::from([("sides", 3)]);
    let missing = "f@1 takes a Circle, not {\"sides\":3}: missing field `radius`";
    refuses::<Circle>(&sides, missing);
    let unknown =
        "f@1 takes a Shape, not {\"sides\":3}: unknown variant `sides`, expected `Circle`";
    refuses::<Shape>(&sides, unknown);
}

#[test]
fn a_wrong_argument_is_repeated_in_part_and_harmless() {
    let long = "f@1 takes a u64, not \"".to_owned() + &"x".repeat(59) + "… (42 more bytes)";
    refuses::<u64>(&"x".repeat(100), &long);
    refuses::<u64>(&"\u{1b}[2J", r#"f@1 takes a u64, not "\u001b[2J""#);
    refuses::<u64>(&"x".repeat(70_000), "f@1 takes a u64, not 70005 bytes of something else");
}
