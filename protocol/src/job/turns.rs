//! What a job's tasks call and that runs in place: one call after another, on a thread that ends with
//! the last of them, however many there are.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{MutexGuard, PoisonError};
use std::{fmt, io, thread};

use super::Job;

type Call = Box<dyn FnOnce() + Send>;

/// The calls that wait.
#[derive(Default)]
pub(super) struct Turns {
    waiting: VecDeque<Call>,
    has_thread: bool,
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Job {
    /// Runs a call as this job, after those before it; on a new thread if there is none.
    ///
    /// # Errors
    /// The thread does not start; the call is dropped.
    #[doc(hidden)]
    pub fn in_turn(
        &self,
        thread: thread::Builder,
        call: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let mut turns = self.turns();
        turns.waiting.push_back(Box::new(call));
        if turns.has_thread {
            return Ok(());
        }
        let job = self.clone();
        match thread.spawn(move || job.take_turns()) {
            Ok(_detached) => turns.has_thread = true,
            Err(error) => {
                turns.waiting.pop_back();
                return Err(error);
            }
        }
        Ok(())
    }

    fn take_turns(self) {
        while let Some(call) = self.next_turn() {
            // It ends the call alone.
            let _panic = catch_unwind(AssertUnwindSafe(|| self.clone().within_own_thread(call)));
        }
    }

    fn next_turn(&self) -> Option<Call> {
        let mut turns = self.turns();
        let next = turns.waiting.pop_front();
        turns.has_thread = next.is_some();
        next
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.run.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, Builder};
    use std::time::Duration;

    use crate::job;
    use crate::nested::Nesting;
    use crate::nested::tests::job;

    #[test]
    fn many_calls_take_turns_on_one_thread_and_a_panic_ends_its_own() {
        let job = job(Nesting::InPlace);
        let (tell, told) = mpsc::channel();
        let (go, all_wait) = mpsc::channel::<()>();
        job.in_turn(Builder::new(), move || all_wait.recv().unwrap()).unwrap();
        job.in_turn(Builder::new(), || panic!("on purpose")).unwrap();
        for number in 0..100 {
            let tell = tell.clone();
            let call = move || {
                let known = job::current().map(|job| job.id());
                tell.send((number, thread::current().id(), known)).unwrap();
            };
            job.in_turn(Builder::new(), call).unwrap();
        }
        go.send(()).unwrap();
        let next = |_| told.recv_timeout(Duration::from_secs(30)).expect("each has its turn");
        let seen: Vec<_> = (0..100).map(next).collect();
        let (_, thread, _) = seen[0];
        let expected: Vec<_> = (0..100).map(|number| (number, thread, Some(job.id()))).collect();
        assert_eq!(seen, expected);
    }
}
