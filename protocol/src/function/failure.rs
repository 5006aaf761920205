//! What a function may fail with.

use std::fmt::{self, Debug, Display};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;

/// The error of a function that cannot fail: there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoError {}

impl Display for NoError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for NoError {}

/// What a function may fail with: any error that serde can write and read and that says in words
/// what it is; or [`NoError`].
///
/// It decides what the function's body returns: `Result<R, E>`, and plain `R` where it cannot fail.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a function",
    label = "it lacks `Serialize`, `Deserialize`, `Debug`, `Display` or `Send`",
    note = "an error travels back to its caller: `#[derive(Debug, serde::Serialize, serde::Deserialize)]` it, and say what it is in an `impl std::fmt::Display`",
    note = "for `std::io::Error`, `anyhow::Error` and others that cannot travel there is `ErrorText`",
    note = "more in docs/GUIDE.md: What the compiler says at a wrong first try"
)]
pub trait Failure: Debug + Display + Sized + Send + 'static {
    /// What the body returns.
    type Return<R>;

    /// The same as a `Result`.
    fn into_result<R>(returned: Self::Return<R>) -> Result<R, Self>;

    /// Writes an error, if it would be read back as it is.
    #[doc(hidden)]
    fn write(error: &Self) -> Result<Vec<u8>, codec::Error>;

    /// Reads an error.
    #[doc(hidden)]
    fn read(bytes: &[u8]) -> Result<Self, codec::Error>;
}

impl Failure for NoError {
    type Return<R> = R;

    fn into_result<R>(returned: R) -> Result<R, Self> {
        Ok(returned)
    }

    fn write(error: &Self) -> Result<Vec<u8>, codec::Error> {
        match *error {}
    }

    fn read(_: &[u8]) -> Result<Self, codec::Error> {
        Err(codec::Error::Malformed("by its declaration here, the function cannot fail".to_owned()))
    }
}

// Without it the compiler tells of one missing derive, and not what for.
#[diagnostic::do_not_recommend]
impl<E: Serialize + DeserializeOwned + Debug + Display + Send + 'static> Failure for E {
    type Return<R> = Result<R, E>;

    fn into_result<R>(returned: Result<R, E>) -> Result<R, E> {
        returned
    }

    fn write(error: &Self) -> Result<Vec<u8>, codec::Error> {
        codec::encode_exact(error)
    }

    fn read(bytes: &[u8]) -> Result<Self, codec::Error> {
        codec::decode(bytes)
    }
}
