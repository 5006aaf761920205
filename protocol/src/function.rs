//! Functions as both sides share them: a name, a version and what to run.

mod asynchronous;
mod error;
mod error_text;
mod failure;

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::asynchronous::{AsyncErased, AsyncRun};
pub use self::error::RunError;
use self::error::given;
pub use self::error_text::ErrorText;
pub use self::failure::{Failure, NoError};
use crate::{Address, address, codec, limits};

/// What a function may take and return: anything that serde can write and read.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a function's argument or value",
    label = "it lacks `Serialize`, `Deserialize` or `Send`, or it borrows",
    note = "arguments and values travel: `#[derive(serde::Serialize, serde::Deserialize)]` the type, and own what it holds (`String`, not `&str`; a tuple for several arguments)",
    note = "an async function is served by `serve_async`, and its value is what the future gives"
)]
pub trait Argument: Serialize + DeserializeOwned + Send + 'static {}

// Without it the compiler tells of one missing derive, and not what for.
#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Argument for T {}

/// The declaration of a named, versioned pure function: what its callers and its workers share.
///
/// What runs it is given apart, to a worker (`serve`) and, where it may run in the caller's process
/// as well, to a handle (`locally`). A function whose body both sides have is a [`PureFunction`],
/// made by [`Function::pure`].
///
/// Being pure, it may be run any number of times, anywhere. Several arguments are a tuple; bytes are
/// `serde_bytes::ByteBuf` or `bytes::Bytes`. A function that can fail names its error as a third
/// type, and its body returns `Result<R, E>`.
///
/// ```
/// use bytes::Bytes;
/// use simple_dist_protocol::Function;
///
/// pub const THUMB: Function<Bytes, Bytes> = Function::new("thumb", 1);
/// pub const LINES: Function<String, u64, String> = Function::new("lines", 1);
///
/// assert_eq!(THUMB.address().to_string(), "thumb@1");
/// ```
///
/// A name outside the grammar `[a-z][a-z0-9_.-]{0,63}` does not compile:
///
/// ```compile_fail
/// use simple_dist_protocol::Function;
///
/// const BAD: Function<u64, u64> = Function::new("Not A Name", 1);
/// # fn main() { BAD.address(); }
/// ```
pub struct Function<A, R, E = NoError> {
    name: &'static str,
    version: u32,
    deterministic: bool,
    types: PhantomData<fn(A) -> Result<R, E>>,
}

/// A [`Function`] with its body, which workers and callers share.
///
/// ```
/// use simple_dist_protocol::{Function, PureFunction};
///
/// pub const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, fib);
///
/// fn fib(n: u64) -> u64 {
///     if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
/// }
///
/// assert_eq!(FIB.run(20), 6765);
/// assert_eq!(FIB.address().to_string(), "fib@1");
/// ```
///
/// One that can fail:
///
/// ```
/// use simple_dist_protocol::{Function, PureFunction};
///
/// pub const HALF: PureFunction<u64, u64, String> = Function::pure("half", 1, half);
///
/// fn half(n: u64) -> Result<u64, String> {
///     if n % 2 == 0 { Ok(n / 2) } else { Err(format!("{n} is odd")) }
/// }
///
/// assert_eq!(HALF.run(7), Err("7 is odd".to_owned()));
/// ```
pub struct PureFunction<A, R, E: Failure = NoError> {
    function: Function<A, R, E>,
    body: fn(A) -> E::Return<R>,
}

// By hand: derived, they would ask the same of `A`, `R` and `E`.
impl<A, R, E> Clone for Function<A, R, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R, E> Copy for Function<A, R, E> {}

impl<A, R, E> fmt::Debug for Function<A, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl<A, R, E: Failure> Clone for PureFunction<A, R, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R, E: Failure> Copy for PureFunction<A, R, E> {}

impl<A, R, E: Failure> fmt::Debug for PureFunction<A, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.function.fmt(f)
    }
}

impl<A, R, E> Function<A, R, E> {
    /// Declares a function under its name and version. Give a new version whenever the same
    /// arguments may give another value.
    ///
    /// # Panics
    /// When the name or version does not fit the grammar; in a `const`, that is when it is
    /// compiled.
    pub const fn new(name: &'static str, version: u32) -> Self {
        assert!(address::is_name(name), "a function's name is [a-z][a-z0-9_.-]{{0,63}}");
        assert!(address::is_version(version), "a function's version is at most 99999");
        Self { name, version, deterministic: false, types: PhantomData }
    }

    /// Declares a function with its body.
    ///
    /// # Panics
    /// As [`new`](Self::new) does.
    pub const fn pure(
        name: &'static str,
        version: u32,
        body: fn(A) -> E::Return<R>,
    ) -> PureFunction<A, R, E>
    where
        E: Failure,
    {
        PureFunction { function: Self::new(name, version), body }
    }

    /// Declares that the same arguments always give the same bytes, everywhere.
    #[must_use]
    pub const fn deterministic(mut self) -> Self {
        self.deterministic = true;
        self
    }

    /// Whether the same arguments always give the same bytes.
    pub const fn is_deterministic(&self) -> bool {
        self.deterministic
    }

    /// Name and version.
    pub fn address(&self) -> Address {
        Address::new(self.name, self.version).expect("checked when it was made")
    }
}

impl<A: Argument, R: Argument, E: Failure> Function<A, R, E> {
    /// Runs a body on an argument. A panic ends here, be it the body's, or of what drops the
    /// argument.
    pub fn run_caught(
        &self,
        body: impl FnOnce(A) -> E::Return<R>,
        argument: A,
    ) -> Result<R, RunError<E>> {
        caught(|| value(body(argument)))
    }

    /// Runs a body on an argument in MessagePack. A panic ends here, also of what reads that.
    pub fn run_on_bytes(
        &self,
        body: impl FnOnce(A) -> E::Return<R>,
        argument: &[u8],
    ) -> Result<R, RunError<E>> {
        caught(|| value(body(self.read(argument)?)))
    }

    fn read<F>(&self, argument: &[u8]) -> Result<A, RunError<F>> {
        codec::decode(argument).map_err(|error| RunError::Argument {
            function: self.address(),
            expected: type_name::<A>(),
            given: given(argument),
            error,
        })
    }

    /// Warns, once for each function, if it returns its errors as values: then nobody sees that it
    /// fails, and nothing that is for functions which can fail works for it.
    pub fn warn_of_hidden_errors(&self) {
        static WARNED: Mutex<BTreeSet<(&str, u32)>> = Mutex::new(BTreeSet::new());
        if !self.hides_errors() {
            return;
        }
        let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert((self.name, self.version)) {
            tracing::warn!(
                function = %self.address(),
                "it returns a Result as its value, so its errors count as values: declare it as \
                 Function<A, R, E>, or PureFunction<A, R, E>, with the error as the third type"
            );
        }
    }

    fn hides_errors(&self) -> bool {
        let cannot_fail = TypeId::of::<E>() == TypeId::of::<NoError>();
        cannot_fail && type_name::<R>().starts_with("core::result::Result<")
    }

    /// The function with a body, without its types: bytes in, bytes out.
    pub fn erased(&self, body: impl Fn(A) -> E::Return<R> + Send + Sync + 'static) -> Erased {
        self.erased_with(|| (), move |(), argument| body(argument))
    }

    /// The same, with a state that each thread which runs it makes for itself before its first
    /// run. A panic may leave a state half changed: the next run begins with a new one.
    pub fn erased_with<S: 'static>(
        &self,
        init: impl Fn() -> S + Send + Sync + 'static,
        body: impl Fn(&mut S, A) -> E::Return<R> + Send + Sync + 'static,
    ) -> Erased {
        self.warn_of_hidden_errors();
        let (function, shared) = (*self, Arc::new((init, body)));
        let start = move || {
            let (shared, mut kept) = (Arc::clone(&shared), None);
            let run = move |bytes: &[u8]| {
                let argument = function.read(bytes)?;
                let (init, body) = &*shared;
                let mut state = kept.take().unwrap_or_else(init);
                match catch_unwind(AssertUnwindSafe(|| body(&mut state, argument))) {
                    Ok(returned) => {
                        kept = Some(state);
                        written::<R, E>(returned)
                    }
                    Err(panic) => {
                        // Dropped while a panic unwinds, it could end the process.
                        drop_caught(state);
                        resume_unwind(panic)
                    }
                }
            };
            Runner(Box::new(run))
        };
        let (address, deterministic) = (self.address(), self.deterministic);
        Erased { address, deterministic, start: Box::new(start) }
    }
}

/// The value in what a body returned.
fn value<R, E: Failure>(returned: E::Return<R>) -> Result<R, RunError<E>> {
    E::into_result(returned)
        .map_err(|error| RunError::Failed { text: cut(&error.to_string()), error })
}

/// The same in MessagePack.
fn written<R: Argument, E: Failure>(returned: E::Return<R>) -> Result<Vec<u8>, RunError> {
    match value::<R, E>(returned) {
        Ok(value) => codec::encode_exact(&value).map_err(RunError::Value),
        Err(error) => Err(error.and_then(|text, error| match E::write(&error) {
            Ok(error) => RunError::Failed { text, error },
            Err(error) => RunError::Error { text, error },
        })),
    }
}

impl<A, R, E: Failure> PureFunction<A, R, E> {
    /// Declares that the same arguments always give the same bytes, everywhere.
    #[must_use]
    pub const fn deterministic(mut self) -> Self {
        self.function = self.function.deterministic();
        self
    }

    /// The declaration alone.
    pub const fn declaration(&self) -> Function<A, R, E> {
        self.function
    }

    /// The body alone.
    pub const fn body(&self) -> fn(A) -> E::Return<R> {
        self.body
    }

    /// Name and version.
    pub fn address(&self) -> Address {
        self.function.address()
    }

    /// Runs it here.
    pub fn run(&self, argument: A) -> E::Return<R> {
        (self.body)(argument)
    }
}

impl<A: Argument, R: Argument, E: Failure> PureFunction<A, R, E> {
    /// The function without its types: bytes in, bytes out.
    pub fn erased(&self) -> Erased {
        self.function.erased(self.body)
    }
}

/// What can be called: a [`Function`], which workers alone run, or a [`PureFunction`], which can
/// run in the caller's process too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a declared function",
    note = "declare it: `const F: Function<A, R> = Function::new(\"f\", 1)`, or with a body `Function::pure(\"f\", 1, f)`; if it can fail, as `Function<A, R, E>`"
)]
pub trait Callee<A, R, E: Failure> {
    /// Its name, version and types.
    fn declaration(&self) -> Function<A, R, E>;

    /// Its body, where the caller has it.
    fn body(&self) -> Option<fn(A) -> E::Return<R>>;
}

impl<A, R, E: Failure> Callee<A, R, E> for Function<A, R, E> {
    fn declaration(&self) -> Self {
        *self
    }

    fn body(&self) -> Option<fn(A) -> E::Return<R>> {
        None
    }
}

impl<A, R, E: Failure> Callee<A, R, E> for PureFunction<A, R, E> {
    fn declaration(&self) -> Function<A, R, E> {
        self.function
    }

    fn body(&self) -> Option<fn(A) -> E::Return<R>> {
        Some(self.body)
    }
}

impl<A, R, E: Failure, C: Callee<A, R, E>> Callee<A, R, E> for &C {
    fn declaration(&self) -> Function<A, R, E> {
        C::declaration(self)
    }

    fn body(&self) -> Option<fn(A) -> E::Return<R>> {
        C::body(self)
    }
}

/// A function with its body but without its types, for a registry: the argument and the value are
/// MessagePack.
pub struct Erased {
    address: Address,
    deterministic: bool,
    start: Box<dyn Fn() -> Runner + Send + Sync>,
}

/// An [`Erased`] function as one thread runs it, with the state that it keeps there.
pub struct Runner(Box<RunBytes>);

type RunBytes = dyn FnMut(&[u8]) -> Result<Vec<u8>, RunError>;

impl Erased {
    /// Name and version.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the same arguments always give the same bytes.
    pub fn is_deterministic(&self) -> bool {
        self.deterministic
    }

    /// The function for one thread to run, with a state of its own.
    pub fn runner(&self) -> Runner {
        (self.start)()
    }

    /// Runs it once, with a state of its own.
    ///
    /// # Errors
    /// [`RunError`], when there is no value.
    pub fn run(&self, argument: &[u8]) -> Result<Vec<u8>, RunError> {
        self.runner().run(argument)
    }
}

impl Runner {
    /// Runs it here. A panic ends here, be it the function's, or of whatever reads, writes or
    /// drops its argument and its value.
    ///
    /// # Errors
    /// [`RunError`], when there is no value.
    pub fn run(&mut self, argument: &[u8]) -> Result<Vec<u8>, RunError> {
        caught(|| (self.0)(argument))
    }
}

impl fmt::Debug for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

fn drop_caught<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // Dropping what a panic says may panic in its turn.
        std::mem::forget(panic);
    }
}

fn caught<T, E>(run: impl FnOnce() -> Result<T, RunError<E>>) -> Result<T, RunError<E>> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|payload| Err(RunError::Panicked(message(payload))))
}

fn message(payload: Box<dyn Any + Send>) -> String {
    let text = if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.as_str()
    } else {
        // Dropping a value of the user's may panic in its turn.
        std::mem::forget(payload);
        return "a value that is not text".to_owned();
    };
    cut(text)
}

fn cut(text: &str) -> String {
    text.chars().take(limits::MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

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
        let Err(RunError::Failed { text, error }) =
            DIV.erased().run(&codec::encode(&(1, 0)).unwrap())
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
        assert!(
            matches!(run(Odd(None)), Err(RunError::Panicked(words)) if words == "it has no words")
        );
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
        const WORDS: PureFunction<(), ()> =
            Function::pure("words", 1, |()| panic!("{}", "of its own"));
        const ODD: PureFunction<(), ()> =
            Function::pure("odd", 1, |()| std::panic::panic_any(7_u8));
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
}
