//! Functions as both sides share them: a name, a version and what to run.

use std::any::{Any, type_name};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Address, address, codec, limits, text, value_to_json};

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
    /// Runs it here. A panic ends here, be it the function's, or of what drops its argument.
    pub fn run_caught(&self, argument: A) -> Result<R, RunError> {
        caught(|| Ok(self.run(argument)))
    }

    /// Runs it here on an argument in MessagePack. A panic ends here, also of what reads that.
    pub fn run_on_bytes(&self, argument: &[u8]) -> Result<R, RunError> {
        caught(|| Ok(self.run(self.read(argument)?)))
    }

    fn read(&self, argument: &[u8]) -> Result<A, RunError> {
        codec::decode(argument).map_err(|error| RunError::Argument {
            function: self.address(),
            expected: type_name::<A>(),
            given: given(argument),
            error,
        })
    }

    /// The function without its types: bytes in, bytes out.
    pub fn erased(&self) -> Erased {
        let function = *self;
        Erased {
            address: self.address(),
            deterministic: self.deterministic,
            run: Box::new(move |bytes| {
                let value = function.run(function.read(bytes)?);
                codec::encode_exact(&value).map_err(RunError::Value)
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
        caught(|| (self.run)(argument))
    }
}

impl fmt::Debug for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)
    }
}

fn caught<T>(run: impl FnOnce() -> Result<T, RunError>) -> Result<T, RunError> {
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
    text.chars().take(limits::MESSAGE_CHARS).collect()
}

/// Why an erased function has no value.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The bytes are not the argument that the function takes.
    #[error("{function} takes {}, not {given}{}", words(expected), reason(error))]
    Argument {
        /// Which function.
        function: Address,
        /// The type it takes.
        expected: &'static str,
        /// What it was given, or the beginning of it, in JSON.
        given: String,
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

/// How many characters of an argument an error repeats, and how many bytes it looks at for that.
const GIVEN: (usize, usize) = (60, 64 * 1024);

fn given(bytes: &[u8]) -> String {
    let json = (bytes.len() <= GIVEN.1).then(|| value_to_json(bytes)).and_then(Result::ok);
    match json.and_then(|value| text::json(&value).ok()) {
        Some(json) => text::line(&json, GIVEN.0).to_string(),
        None => format!("{} bytes of something else", bytes.len()),
    }
}

/// A type as people call it: `a u64`, `an Option<String>`, `(u64, u32)`.
fn words(type_name: &str) -> String {
    if type_name == "()" {
        return "no argument".to_owned();
    }
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let parts = type_name.split_inclusive(|c| !is_path(c));
    let name: String = parts.filter_map(|part| part.rsplit("::").next()).collect();
    let article = match name.chars().next() {
        Some('a' | 'e' | 'i' | 'o' | 'A' | 'E' | 'I' | 'O') => "an ",
        Some('f') if matches!(&*name, "f32" | "f64") => "an ",
        Some(first) if first.is_alphabetic() => "a ",
        _ => "",
    };
    format!("{article}{name}")
}

/// What the type itself says, such as which field is missing; not that a number is no text.
fn reason(error: &codec::Error) -> String {
    const KNOWN_ALREADY: [&str; 6] = [
        "wrong msgpack marker",
        "invalid type",
        "invalid value: integer",
        "invalid length",
        "numeric cast",
        "array had incorrect length",
    ];
    match error {
        codec::Error::Malformed(reason)
            if KNOWN_ALREADY.iter().any(|at| reason.starts_with(at)) =>
        {
            String::new()
        }
        codec::Error::Malformed(reason) | codec::Error::Unwritable(reason) => format!(": {reason}"),
        codec::Error::Trailing(_) | codec::Error::Ambiguous | codec::Error::Deep => {
            format!(": {error}")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

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
        let function = Function::<A, ()>::new("f", 1, |_| ()).erased();
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
