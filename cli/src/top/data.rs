//! The data fetched from a distributor at one time.

use serde_json::{Value, json};
use simple_dist_distributor::view::{Function, Job, RecentJob, Status, Worker};

use crate::api::{Api, Error};

/// The parts of a view that are shown. They are read one after another, so each is consistent in
/// itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Data {
    pub(crate) status: Status,
    pub(crate) workers: Vec<Worker>,
    pub(crate) functions: Vec<Function>,
    /// The failed jobs, newest first.
    pub(crate) failed: Vec<RecentJob>,
}

const STATUS: &str = "/api/v1/status";
const WORKERS: &str = "/api/v1/workers";
const FUNCTIONS: &str = "/api/v1/functions";
const JOBS: &str = "/api/v1/jobs";
const FAILED: &str = "/api/v1/jobs?failed=true&limit=200";

impl Data {
    /// Fetches everything.
    pub(crate) fn fetch(api: &Api) -> Result<Self, Error> {
        let ended = |job| match job {
            Job::Ended(job) => Some(job),
            Job::UnderWay(_) => None,
        };
        Ok(Self {
            status: api.get(STATUS)?,
            workers: api.get(WORKERS)?,
            functions: api.get(FUNCTIONS)?,
            failed: api.get::<Vec<Job>>(FAILED)?.into_iter().filter_map(ended).collect(),
        })
    }
}

/// Everything as raw JSON, for scripts.
pub(crate) fn raw(api: &Api) -> Result<Value, Error> {
    Ok(json!({
        "status": api.get::<Value>(STATUS)?,
        "workers": api.get::<Value>(WORKERS)?,
        "functions": api.get::<Value>(FUNCTIONS)?,
        "jobs": api.get::<Value>(JOBS)?,
    }))
}
