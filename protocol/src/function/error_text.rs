//! Errors that cannot travel, as text.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What an error says, for errors that cannot travel themselves, such as `std::io::Error`.
///
/// `?` makes it of any error, with what that was caused by:
///
/// ```
/// use simple_dist_protocol::{ErrorText, Function, PureFunction};
///
/// pub const WORDS: PureFunction<String, usize, ErrorText> = Function::pure("words", 1, words);
///
/// fn words(path: String) -> Result<usize, ErrorText> {
///     Ok(std::fs::read_to_string(path)?.split_whitespace().count())
/// }
///
/// let error = WORDS.run("/there/is/no/such/file".to_owned()).unwrap_err();
/// assert!(error.to_string().contains("No such file"));
/// ```
///
/// An `anyhow::Error` is none of these errors: `.map_err(ErrorText::new)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorText(String);

impl ErrorText {
    /// What `{error:#}` writes, which of an `anyhow::Error` is all that it was caused by as well.
    ///
    /// ```
    /// use simple_dist_protocol::ErrorText;
    ///
    /// fn parse(text: String) -> Result<u64, ErrorText> {
    ///     text.parse::<u64>().map_err(|error| ErrorText::new(format_args!("{text:?}: {error}")))
    /// }
    ///
    /// assert_eq!(parse("x".to_owned()).unwrap_err().as_str(), "\"x\": invalid digit found in string");
    /// ```
    pub fn new(error: impl fmt::Display) -> Self {
        Self(format!("{error:#}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// It is no error itself, or it would have to be made of itself as well.
impl<E: Error> From<E> for ErrorText {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let said = cause.to_string();
            // Some say what they were caused by themselves.
            if !text.ends_with(&said) {
                text = format!("{text}: {said}");
            }
            source = cause.source();
        }
        Self(text)
    }
}

impl fmt::Display for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error with its cause, which it may tell as well.
    #[derive(Debug, thiserror::Error)]
    enum Told {
        #[error("the file cannot be read")]
        Apart(#[source] std::num::ParseIntError),
        #[error("line 3: {0}")]
        Within(#[source] std::num::ParseIntError),
        #[error("no settings")]
        Twice(#[source] Box<Self>),
    }

    #[test]
    fn an_error_is_told_with_all_its_causes_once() {
        let cause = || "x".parse::<u8>().unwrap_err();
        for (error, text) in [
            (Told::Apart(cause()), "the file cannot be read: invalid digit found in string"),
            (Told::Within(cause()), "line 3: invalid digit found in string"),
            (
                Told::Twice(Box::new(Told::Apart(cause()))),
                "no settings: the file cannot be read: invalid digit found in string",
            ),
        ] {
            assert_eq!(ErrorText::from(error).as_str(), text);
        }
    }

    #[test]
    fn what_is_no_error_is_told_in_full() {
        /// As `anyhow::Error` is.
        struct Chain;
        impl fmt::Display for Chain {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(if f.alternate() { "outer: inner" } else { "outer" })
            }
        }
        assert_eq!(ErrorText::new(Chain).to_string(), "outer: inner");
    }
}
