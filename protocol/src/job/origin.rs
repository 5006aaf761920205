//! Where a call was made. Threads and tasks that a job starts do not know it, but what they call was
//! often made where it was known: the call itself, or the handle of the function.

use std::sync::{Arc, Weak};

use super::{Job, Run, current, of_thread};
use crate::nested::Nesting;

/// The job that has made a call or a handle, if one did, as long as it runs. It keeps nothing of the
/// job alive.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    run: Weak<Run>,
    is_of_handle: bool,
}

impl Origin {
    /// Of a handle that is made on this thread. Others than the job may come to call it, so it is
    /// only taken for the one whose place is lent.
    pub fn of_handle() -> Self {
        Self { is_of_handle: true, ..Self::here() }
    }

    /// Of a call that is made on this thread by a handle of this origin.
    #[must_use]
    pub fn of_call(&self) -> Self {
        let here = Self::here();
        if here.run.strong_count() > 0 { here } else { self.clone() }
    }

    fn here() -> Self {
        let run = current().map_or_else(Weak::new, |job| Arc::downgrade(&job.run));
        Self { run, is_of_handle: false }
    }

    /// Runs the body as a part of the job, unless it has ended or this thread runs another.
    pub fn within<T>(&self, body: impl FnOnce() -> T) -> T {
        let is_guess = self.is_of_handle;
        let made_by = self.run.upgrade();
        let job = made_by.map(|run| Job { run, is_elsewhere: true, is_guess });
        let known = if is_guess { of_thread } else { current };
        match job.filter(|job| !job.has_ended() && known().is_none()) {
            // What runs in its caller's process has no place to lend.
            Some(job) if is_guess && matches!(job.nesting(), Nesting::InPlace) => body(),
            Some(job) if is_guess => job.within(body),
            Some(job) => job.scope(body),
            None => body(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::nested::Calls;
    use crate::nested::tests::job;
    use crate::{JobId, job};

    fn task() -> Job {
        job(Nesting::Task(Calls::default()))
    }

    /// Of a call and a handle that the job makes.
    fn made_in(job: &Job) -> (Origin, Origin) {
        job.clone().within(|| (Origin::default().of_call(), Origin::of_handle()))
    }

    /// The job that the body of this origin knows, and the one whose place it lends.
    fn seen(origin: &Origin) -> (Option<JobId>, Option<JobId>) {
        origin.within(|| (current().map(|job| job.id()), of_thread().map(|job| job.id())))
    }

    #[test]
    fn a_call_belongs_to_the_job_that_made_it_and_one_by_its_handle_only_lends_its_place() {
        let job = task();
        let (call, handle) = made_in(&job);
        let id = Some(job.id());
        assert_eq!(seen(&call), (id, id));
        assert_eq!(seen(&handle), (None, id));
        assert_eq!(seen(&handle.of_call()), (None, id), "made where there is no job");
        let call_by_handle = job.clone().within(|| handle.of_call());
        assert_eq!(seen(&call_by_handle), (id, id));
        assert_eq!(seen(&Origin::of_handle().of_call()), (None, None));
    }

    #[test]
    fn the_job_that_a_thread_runs_comes_first() {
        let (job, other) = (task(), task());
        let (call, handle) = made_in(&job);
        let id = Some(other.id());
        for origin in [&call, &handle] {
            assert_eq!(other.clone().within(|| seen(origin)), (id, id));
            assert_eq!(other.scope(|| seen(origin)), (id, id));
        }
        let by_other = other.clone().within(|| handle.of_call());
        assert_eq!(seen(&by_other), (id, id), "its handle is another's");
    }

    #[test]
    fn a_job_that_has_ended_is_none() {
        let job = task();
        let (call, handle) = job.clone().run(|| made_in(&job));
        assert_eq!(seen(&call), (None, None));
        assert_eq!(seen(&handle), (None, None));
        let running = task();
        let within = || job::in_place(|| (Origin::default().of_call(), current().is_some()));
        let (in_place, is_known) = running.clone().within(within);
        assert!(is_known);
        assert_eq!(seen(&in_place), (None, None), "it was made by what ran in place");
    }

    #[test]
    fn nothing_of_the_job_is_kept() {
        let job = task();
        let (_origins, host) = (made_in(&job), Arc::downgrade(&job.run.host));
        drop(job);
        assert!(host.upgrade().is_none());
    }

    #[test]
    fn what_runs_in_place_lends_nothing_to_those_who_only_have_its_handle() {
        let job = job(Nesting::InPlace);
        let (call, handle) = made_in(&job);
        assert_eq!(seen(&call).1, Some(job.id()));
        assert_eq!(seen(&handle), (None, None));
    }
}
