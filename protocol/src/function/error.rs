//! Why a run of a function has no value, in one sentence for whoever called it.

use crate::{Address, codec, text, value_to_json};

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
        codec::Error::Trailing(_) | codec::Error::Ambiguous | codec::Error::Deep => {
            format!(": {error}")
        }
    }
}
