//! Functions as both sides share them: a name, a version and what to run.

mod asynchronous;
mod erased;
mod error;
mod error_text;
mod failure;
#[cfg(test)]
mod tests;

use std::any::{TypeId, type_name};
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::asynchronous::{AsyncErased, AsyncRun};
pub use self::erased::{Erased, Runner};
use self::erased::{caught, cut};
pub use self::error::RunError;
use self::error::given;
pub use self::error_text::ErrorText;
pub use self::failure::{Failure, NoError};
use crate::{Address, MemoPolicy, address, codec};

/// What a function may take and return: anything that serde can write and read.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a function's argument or value",
    label = "it lacks `Serialize`, `Deserialize` or `Send`, or it borrows",
    note = "arguments and values travel: `#[derive(serde::Serialize, serde::Deserialize)]` the type, and own what it holds (`String`, not `&str`; a tuple for several arguments)",
    note = "an async function is served by `serve_async`, and its value is what the future gives",
    note = "more in docs/GUIDE.md: What the compiler says at a wrong first try"
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
    memo: Option<MemoPolicy>,
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
        Self { name, version, deterministic: false, memo: None, types: PhantomData }
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

    /// Declares that the same arguments always give the same bytes, everywhere: equal calls that are
    /// under way at once then share one run.
    #[must_use]
    pub const fn deterministic(mut self) -> Self {
        self.deterministic = true;
        self
    }

    /// Declares it [deterministic](Self::deterministic), and that its answers, values and errors, may be
    /// kept and given to equal calls to come: each for so long, and all of them in so many bytes, which
    /// include 576 of each besides its own. The distributor keeps them, for as long as it is the active one, and
    /// has a bound for all functions together. A call can be `fresh()`, which gets no kept answer, and
    /// renews it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use simple_dist_protocol::Function;
    ///
    /// const HOUR: Duration = Duration::from_secs(3600);
    /// const FIB: Function<u64, u64> = Function::new("fib", 1).memo(HOUR, 1 << 20);
    ///
    /// assert!(FIB.is_deterministic());
    /// ```
    #[must_use]
    pub const fn memo(mut self, ttl: Duration, bytes: u64) -> Self {
        self.memo = Some(MemoPolicy { ttl, bytes });
        self.deterministic()
    }

    /// Whether the same arguments always give the same bytes.
    pub const fn is_deterministic(&self) -> bool {
        self.deterministic
    }

    /// How its answers are kept, if they are.
    pub const fn memo_policy(&self) -> Option<MemoPolicy> {
        self.memo
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
    /// Declares that the same arguments always give the same bytes: see [`Function::deterministic`].
    #[must_use]
    pub const fn deterministic(mut self) -> Self {
        self.function = self.function.deterministic();
        self
    }

    /// Has its answers kept for equal calls to come: see [`Function::memo`].
    #[must_use]
    pub const fn memo(mut self, ttl: Duration, bytes: u64) -> Self {
        self.function = self.function.memo(ttl, bytes);
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

/// What runs a function: anything that is called with its argument and returns its value, or a `Result`
/// where the function is declared with an error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run this function",
    label = "it takes or returns something else than the function's declaration says",
    note = "by its declaration it is `Fn({A}) -> {R}`, or returns a `Result` of that where an error is the third type",
    note = "an async function is served by `serve_async`",
    note = "more in docs/GUIDE.md: What the compiler says at a wrong first try"
)]
pub trait Body<A, R, E: Failure>: Fn(A) -> E::Return<R> {}

// Without it the compiler tells of another type, and not what to do about it.
#[diagnostic::do_not_recommend]
impl<A, R, E: Failure, F: Fn(A) -> E::Return<R>> Body<A, R, E> for F {}

/// What can be called: a [`Function`], which workers alone run, or a [`PureFunction`], which can
/// run in the caller's process too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a declared function",
    note = "declare it: `const F: Function<A, R> = Function::new(\"f\", 1)`, or with a body `Function::pure(\"f\", 1, f)`; if it can fail, as `Function<A, R, E>`",
    note = "more in docs/GUIDE.md: What the compiler says at a wrong first try"
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
