//! Options of workers that say in what their jobs run.

use std::fmt;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum, value_parser};
use simple_dist_worker as worker;

use crate::roles::parse_duration;

/// In what jobs run, and what each may use.
#[derive(Debug, Args)]
pub(crate) struct Isolation {
    /// In what jobs run: a process for each slot, which is killed at a job's deadline, when it is
    /// cancelled, or with the job that crashes it; or a thread
    #[arg(long, env = "SIMPLE_DIST_ISOLATION", default_value = "process")]
    isolation: Kind,
    /// MiB of memory for each slot's process; not limited by default
    #[arg(long, env = "SIMPLE_DIST_MEMORY", value_name = "MIB", value_parser = value_parser!(u64).range(32..))]
    memory: Option<u64>,
    /// Processor time of one job, in whole seconds; not limited by default
    #[arg(long, env = "SIMPLE_DIST_CPU_TIME", value_name = "TIME", value_parser = parse_cpu_time)]
    cpu_time: Option<Duration>,
    /// Open files, sockets and pipes of each slot's process; as many as the worker by default
    #[arg(long, env = "SIMPLE_DIST_OPEN_FILES", value_name = "COUNT", value_parser = value_parser!(u64).range(32..))]
    open_files: Option<u64>,
    /// Replace a process after so many jobs; never by default
    #[arg(long, env = "SIMPLE_DIST_RECYCLE_AFTER", value_name = "JOBS", value_parser = value_parser!(u32).range(1..))]
    recycle_after: Option<u32>,
    /// Show the last lines that jobs in processes print on the worker's page and in the API
    #[arg(long, env = "SIMPLE_DIST_SHARE_OUTPUT", value_parser = FalseyValueParser::new())]
    share_output: bool,
}

/// In what jobs run.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// In processes of their own
    Process,
    /// On threads
    Thread,
}

impl From<Kind> for worker::Isolation {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Process => Self::Process,
            Kind::Thread => Self::Thread,
        }
    }
}

impl Isolation {
    /// Tells a worker.
    pub(crate) fn apply(&self, mut worker: worker::Builder) -> worker::Builder {
        worker = worker.isolation(self.isolation.into());
        if let Some(mebibytes) = self.memory {
            worker = worker.memory(mebibytes.saturating_mul(1 << 20));
        }
        if let Some(most) = self.cpu_time {
            worker = worker.cpu_time(most);
        }
        if let Some(most) = self.open_files {
            worker = worker.open_files(most);
        }
        if let Some(jobs) = self.recycle_after {
            worker = worker.recycle_after(jobs);
        }
        worker.share_output(self.share_output)
    }

    /// The same, as arguments of a worker.
    pub(crate) fn arguments(&self) -> Vec<String> {
        fn option(name: &str, value: Option<impl fmt::Display>) -> Option<String> {
            Some(format!("--{name}={}", value?))
        }
        let kind = match self.isolation {
            Kind::Process => "process",
            Kind::Thread => "thread",
        };
        let given = [
            option("isolation", Some(kind)),
            option("memory", self.memory),
            option("cpu-time", self.cpu_time.map(|most| most.as_secs())),
            option("open-files", self.open_files),
            option("recycle-after", self.recycle_after),
        ];
        let share_output = self.share_output.then(|| "--share-output".to_owned());
        given.into_iter().chain([share_output]).flatten().collect()
    }
}

fn parse_cpu_time(text: &str) -> Result<Duration, String> {
    let most = parse_duration(text)?;
    let seconds = most.as_secs() + u64::from(most.subsec_nanos() > 0);
    if seconds == 0 { Err("at least 1s".to_owned()) } else { Ok(Duration::from_secs(seconds)) }
}
