//! Why a run of a function has no value, in one sentence for whoever called it.

use crate::{Address, codec, text, value_to_json};

/// Why a run of a function has no value. An error of the function's own is in MessagePack where the
/// function is erased.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E = Vec<u8>> {
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
    /// The function returned an error.
    #[error("the function failed: {text}")]
    Failed {
        /// What the error says.
        text: String,
        /// The error itself.
        error: E,
    },
    /// It did, and that cannot be written.
    #[error("the function failed: {text}; its error cannot be sent: {error}")]
    Error {
        /// What the error says.
        text: String,
        /// Why it cannot be written.
        error: codec::Error,
    },
    /// The function panicked, with this message.
    #[error("the function panicked: {0}")]
    Panicked(String),
}

impl<E> RunError<E> {
    /// With another form of the function's own error.
    pub fn map<F>(self, form: impl FnOnce(E) -> F) -> RunError<F> {
        self.and_then(|text, error| RunError::Failed { text, error: form(error) })
    }

    pub(super) fn and_then<F>(self, failed: impl FnOnce(String, E) -> RunError<F>) -> RunError<F> {
        match self {
            Self::Argument { function, expected, given, error } => {
                RunError::Argument { function, expected, given, error }
            }
            Self::Value(error) => RunError::Value(error),
            Self::Failed { text, error } => failed(text, error),
            Self::Error { text, error } => RunError::Error { text, error },
            Self::Panicked(message) => RunError::Panicked(message),
        }
    }
}

/// How many characters of an argument an error repeats, and how many bytes it looks at for that.
const GIVEN: (usize, usize) = (60, 64 * 1024);

pub(super) fn given(bytes: &[u8]) -> String {
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
        codec::Error::Trailing
        | codec::Error::Ambiguous
        | codec::Error::Deep
        | codec::Error::OneWay { .. } => format!(": {error}"),
    }
}
