//! The functions of one worker, by address, and how one of them is run.

use std::collections::{BTreeMap, HashMap};

use simple_dist_protocol::message::Answer;
use simple_dist_protocol::{Address, Erased, RunError, Runner};

/// What one thread has run, with the states that it made for that.
pub(crate) type Runners = HashMap<Address, Runner>;

/// Functions without their types.
#[derive(Debug)]
pub(crate) struct Registry(BTreeMap<Address, Erased>);

impl Registry {
    /// Each under an address of its own.
    pub(crate) fn new(functions: Vec<Erased>) -> Self {
        let named = functions.into_iter().map(|function| (function.address().clone(), function));
        Self(named.collect())
    }

    /// Runs a function on the calling thread, which keeps its runners. Whatever it does short of
    /// ending the process is an answer.
    pub(crate) fn run(&self, runners: &mut Runners, function: &Address, args: &[u8]) -> Answer {
        self.run_here(runners, function, args).map_or(Answer::NotServed, Answer::from)
    }

    /// The same, for who waits for it on this thread; none if the function is not served.
    pub(crate) fn run_here(
        &self,
        runners: &mut Runners,
        function: &Address,
        args: &[u8],
    ) -> Option<Result<Vec<u8>, RunError>> {
        if !runners.contains_key(function) {
            runners.insert(function.clone(), self.0.get(function)?.runner());
        }
        Some(runners.get_mut(function)?.run(args))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use simple_dist_protocol::{Function, PureFunction, codec, limits};

    use super::*;

    const CHECKED: PureFunction<u64, u64> = Function::pure("checked", 1, |n| {
        assert!(n < 10, "{n} is too many");
        n
    });
    const BYTES: PureFunction<u64, Bytes> =
        Function::pure("bytes", 1, |n| Bytes::from(vec![0; usize::try_from(n).unwrap()]));
    const ODD: PureFunction<(), ()> = Function::pure("odd", 1, |()| std::panic::panic_any(7_u8));

    const SOME: PureFunction<(), Option<Option<u8>>> = Function::pure("some", 1, |()| Some(None));

    /// It fails with that many bytes.
    const FALLIBLE: PureFunction<usize, (), String> =
        Function::pure("fallible", 1, |length| Err("x".repeat(length)));
    /// It fails with what cannot be sent.
    const UNSENT: PureFunction<(), (), Unsent> = Function::pure("unsent", 1, |()| Err(Unsent(())));

    #[derive(Debug, serde::Deserialize)]
    struct Unsent(());

    impl serde::Serialize for Unsent {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not this one"))
        }
    }

    impl std::fmt::Display for Unsent {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("broken")
        }
    }

    fn run<A: serde::Serialize>(function: &str, argument: &A) -> Answer {
        let functions = vec![
            CHECKED.erased(),
            BYTES.erased(),
            ODD.erased(),
            SOME.erased(),
            FALLIBLE.erased(),
            UNSENT.erased(),
        ];
        let registry = Registry::new(functions);
        let args = codec::encode(argument).unwrap();
        registry.run(&mut Runners::new(), &function.parse().unwrap(), &args)
    }

    #[test]
    fn a_value_is_an_answer() {
        assert_eq!(run("checked@1", &7_u64), Answer::Value(Bytes::from_static(&[7])));
    }

    #[test]
    fn an_error_is_an_answer_with_its_text() {
        let error = Bytes::from(codec::encode("xx").unwrap());
        assert_eq!(run("fallible@1", &2), Answer::Failed { message: "xx".to_owned(), error });
        assert!(matches!(run("fallible@1", &limits::ARGUMENT_BYTES), Answer::TooLarge { .. }));
        let Answer::Panicked { message, unsendable: true, .. } = run("unsent@1", &()) else {
            panic!("it is sent, or a panic")
        };
        assert!(message.contains("broken") && message.contains("not this one"), "{message}");
    }

    #[test]
    fn a_panic_is_an_answer_with_its_message() {
        let Answer::Panicked { message, unsendable: false, .. } = run("checked@1", &10_u64) else {
            panic!("no panic")
        };
        assert_eq!(message, "10 is too many");
        assert!(matches!(run("odd@1", &()), Answer::Panicked { .. }));
    }

    #[test]
    fn a_value_that_cannot_be_sent_is_no_panic() {
        let Answer::Panicked { message, unsendable: true, .. } = run("some@1", &()) else {
            panic!("it is sent, or a panic")
        };
        assert!(message.contains("Some(None)"), "{message}");
    }

    #[test]
    fn a_value_over_the_limit_is_too_large() {
        let answer = run("bytes@1", &(limits::ARGUMENT_BYTES as u64));
        assert!(matches!(answer, Answer::TooLarge { bytes, limit } if bytes > limit));
    }

    #[test]
    fn a_wrong_argument_and_a_wrong_function_are_told_apart() {
        assert!(matches!(run("checked@1", &"seven"), Answer::BadArguments { .. }));
        assert_eq!(run("checked@2", &7_u64), Answer::NotServed);
    }
}
