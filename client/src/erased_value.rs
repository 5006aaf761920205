//! A value of the user's without its type, while it is with us.

use std::any::Any;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A value without its type, as it is. Dropped here, where nobody but its owner can tell what that
/// does, it harms nothing: a panic ends here.
#[derive(Debug)]
pub(crate) struct ErasedValue(Option<Box<dyn Any + Send>>);

impl ErasedValue {
    pub(crate) fn new<T: Send + 'static>(value: T) -> Self {
        Self(Some(Box::new(value)))
    }

    /// The value, of the type that it was made of.
    pub(crate) fn take<T: 'static>(mut self) -> T {
        let value = self.0.take().and_then(|value| value.downcast().ok());
        *value.expect("who makes it and who takes it know the same call")
    }
}

impl Drop for ErasedValue {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            drop_here(value);
        }
    }
}

/// Drops a value of the user's.
pub(crate) fn drop_here<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // It may panic in its turn.
        forget(panic);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    /// It panics when it is dropped, also as what a panic says.
    #[derive(Debug, Serialize, Deserialize)]
    pub(crate) struct Sharp;

    impl Drop for Sharp {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }

    #[test]
    fn whatever_it_is_it_can_be_dropped_and_taken() {
        drop(ErasedValue::new(Sharp));
        forget(ErasedValue::new(Sharp).take::<Sharp>());
        assert_eq!(ErasedValue::new(7_u8).take::<u8>(), 7);
    }
}
