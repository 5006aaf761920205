//! Functions as both sides share them: a name, a version and what to run.

use std::any::{Any, type_name};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Address, address, codec, limits};

/// What a function may take and return: anything that serde can write and read.
pub trait Argument: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Argument for T {}

/// A named, versioned pure function, shared by the worker that serves it and the client that
/// calls it.
///
/// Being pure, it may be run any number of times, anywhere. Several arguments are a tuple; a
/// function that can fail returns `Result<R, E>`, which is a value like any other; bytes are
/// `serde_bytes::ByteBuf` or `bytes::Bytes`.
///
/// ```
/// use simple_dist_protocol::Function;
///
/// pub const FIB: Function<u64, u64> = Function::new("fib", 1, fib);
///
/// fn fib(n: u64) -> u64 {
///     if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
/// }
///
/// assert_eq!(FIB.run(20), 6765);
/// assert_eq!(FIB.address().to_string(), "fib@1");
/// ```
///
/// A name outside the grammar `[a-z][a-z0-9_.-]{0,63}` does not compile:
///
/// ```compile_fail
/// use simple_dist_protocol::Function;
///
/// const BAD: Function<u64, u64> = Function::new("Not A Name", 1, |n| n);
/// # fn main() { BAD.run(1); }
/// ```
pub struct Function<A, R> {
    name: &'static str,
    version: u32,
    deterministic: bool,
    run: fn(A) -> R,
}

// By hand: derived, they would ask the same of `A` and `R`.
impl<A, R> Clone for Function<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R> Copy for Function<A, R> {}

impl<A, R> fmt::Debug for Function<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl<A, R> Function<A, R> {
    /// A function under its name and version. Give a new version whenever the same arguments
    /// may give another value.
    ///
    /// # Panics
    /// When the name or version does not fit the grammar; in a `const`, that is when it is
    /// compiled.
    pub const fn new(name: &'static str, version: u32, run: fn(A) -> R) -> Self {
        assert!(address::is_name(name), "a function's name is [a-z][a-z0-9_.-]{{0,63}}");
        assert!(address::is_version(version), "a function's version is at most 99999");
        Self { name, version, deterministic: false, run }
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

    /// Runs it here.
    pub fn run(&self, argument: A) -> R {
        (self.run)(argument)
    }
}

impl<A: Argument, R: Argument> Function<A, R> {
    /// The function without its types: bytes in, bytes out.
    pub fn erased(&self) -> Erased {
        let run = self.run;
        Erased {
            address: self.address(),
            deterministic: self.deterministic,
            run: Box::new(move |bytes| {
                let argument = codec::decode(bytes)
                    .map_err(|error| RunError::Argument { expected: type_name::<A>(), error })?;
                codec::encode_exact(&run(argument)).map_err(RunError::Value)
            }),
        }
    }
}

/// A function without its types, for a registry: the argument and the value are MessagePack.
pub struct Erased {
    address: Address,
    deterministic: bool,
    run: Box<RunBytes>,
}

type RunBytes = dyn Fn(&[u8]) -> Result<Vec<u8>, RunError> + Send + Sync;

impl Erased {
    /// Name and version.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the same arguments always give the same bytes.
    pub fn is_deterministic(&self) -> bool {
        self.deterministic
    }

    /// Runs it here. A panic ends here, be it the function's, or of whatever reads, writes or
    /// drops its argument and its value.
    pub fn run(&self, argument: &[u8]) -> Result<Vec<u8>, RunError> {
        catch_unwind(AssertUnwindSafe(|| (self.run)(argument)))
            .unwrap_or_else(|payload| Err(RunError::Panicked(message(payload))))
    }
}

impl fmt::Debug for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)
    }
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
    text.chars().take(limits::MESSAGE_CHARS).collect()
}

/// Why an erased function has no value.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The bytes are not the argument that the function takes.
    #[error("the argument is not a {expected}: {error}")]
    Argument {
        /// The type it takes.
        expected: &'static str,
        /// What is wrong with the bytes.
        error: codec::Error,
    },
    /// The value cannot be written.
    #[error("the value cannot be sent: {0}")]
    Value(codec::Error),
    /// The function panicked, with this message.
    #[error("the function panicked: {0}")]
    Panicked(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIV: Function<(i64, i64), Result<i64, String>> =
        Function::new("div", 1, |(a, b)| a.checked_div(b).ok_or_else(|| "by zero".to_owned()));

    #[test]
    fn an_erased_function_runs_on_bytes() {
        let value = DIV.erased().run(&codec::encode(&(6, 3)).unwrap()).unwrap();
        assert_eq!(codec::decode::<Result<i64, String>>(&value).unwrap(), Ok(2));
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
    fn panics<A: Argument, R: Argument>(function: &Function<A, R>) -> String {
        match function.erased().run(&codec::encode(&()).unwrap()) {
            Err(RunError::Panicked(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whatever_panics_ends_the_run_and_nothing_else() {
        const WORDS: Function<(), ()> = Function::new("words", 1, |()| panic!("{}", "of its own"));
        const ODD: Function<(), ()> = Function::new("odd", 1, |()| std::panic::panic_any(7_u8));
        const TWICE: Function<(), ()> =
            Function::new("twice", 1, |()| std::panic::panic_any(Sharp));
        const TAKEN: Function<Sharp, ()> = Function::new("taken", 1, |_sharp| ());
        const GIVEN: Function<(), Sharp> = Function::new("given", 1, |()| Sharp);
        const LONG: Function<(), ()> = Function::new("long", 1, |()| panic!("{:9999}", ""));
        assert_eq!(panics(&WORDS), "of its own");
        assert_eq!((panics(&TAKEN), panics(&GIVEN)), ("dropped".to_owned(), "dropped".to_owned()));
        assert_eq!(panics(&ODD), panics(&TWICE));
        assert_eq!(panics(&LONG).len(), limits::MESSAGE_CHARS);
    }
}
