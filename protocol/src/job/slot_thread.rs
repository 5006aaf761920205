//! The threads that run jobs, and those that jobs start. Nobody says which job has started a thread, but
//! on Linux a thread has the name of the one that started it until it gets a name of its own. So
//! what threads without a name call, as scoped ones and those of rayon, is known to be called by the
//! job of that slot, unless they outlive it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::Job;

/// By the thread's name, the job that it runs.
static SLOTS: Mutex<BTreeMap<String, Option<Job>>> = Mutex::new(BTreeMap::new());
/// Whether there are any: most programs that call serve nothing.
static ANY: AtomicBool = AtomicBool::new(false);
/// Whether this process runs one job at a time, and nothing beside it.
static ONE_AT_A_TIME: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This thread's name, as the system knows it.
    static NAME: OnceCell<Option<String>> = const { OnceCell::new() };
}

/// A thread that runs jobs, until it is dropped. Its name is its alone.
#[derive(Debug)]
pub struct SlotThread(String);

impl SlotThread {
    /// The calling one.
    pub fn new() -> Self {
        let name = thread::current().name().unwrap_or_default().to_owned();
        slots().insert(name.clone(), None);
        ANY.store(true, Ordering::Release);
        Self(name)
    }

    /// Runs a job.
    pub fn run<T>(&self, job: Job, body: impl FnOnce() -> T) -> T {
        let set = |job| slots().get_mut(&self.0).map(|slot| *slot = job);
        set(Some(job.clone()));
        let end = job.run(body);
        set(None);
        end
    }
}

impl Default for SlotThread {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SlotThread {
    fn drop(&mut self) {
        slots().remove(&self.0);
    }
}

/// All that is called in this process belongs to its one job.
pub fn run_one_at_a_time() {
    ONE_AT_A_TIME.store(true, Ordering::Release);
}

/// The job that has started this thread, which is none's own, as far as that is known. A pool of threads
/// may serve other jobs than the one that started it; its slot may lend a place as well as theirs.
pub(super) fn job_of_starter() -> Option<Job> {
    if !ANY.load(Ordering::Acquire) {
        return None;
    }
    let job = if ONE_AT_A_TIME.load(Ordering::Acquire) {
        slots().values().flatten().next()?.clone()
    } else {
        let name = NAME.try_with(|name| name.get_or_init(read_name).clone()).ok()??;
        let slots = slots();
        let started = slots.get(&name)?.as_ref();
        started.or_else(|| slots.values().flatten().next())?.clone()
    };
    Some(Job { is_elsewhere: true, is_guess: true, ..job })
}

fn read_name() -> Option<String> {
    let name = fs::read_to_string("/proc/thread-self/comm").ok()?;
    Some(name.trim_end().to_owned())
}

fn slots() -> MutexGuard<'static, BTreeMap<String, Option<Job>>> {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_without_a_name_has_that_of_its_starter() {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let seen = named("slot-7").spawn(move || {
            let inherited = thread::spawn(read_name).join().unwrap();
            (inherited, named("other").spawn(read_name).unwrap().join().unwrap())
        });
        let seen = seen.unwrap().join().unwrap();
        assert_eq!(seen, (Some("slot-7".to_owned()), Some("other".to_owned())));
    }
}
