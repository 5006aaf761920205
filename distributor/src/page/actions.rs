//! Operator actions: drain and resume a worker, cancel a job. The middleware has checked that the
//! visitor may act; without a configured token nobody may.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use simple_dist_protocol::{JobId, JobKey, WorkerId};

use super::{Page, Visitor};
use crate::handle::Refused;
use crate::view::Job;

/// The page the button was on, to which the visitor returns.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ReturnTo {
    #[serde(default)]
    from: String,
}

/// Whose job to cancel, if several users chose the same id.
#[derive(Debug, Default, Deserialize)]
pub(super) struct UserQuery {
    user: Option<String>,
}

pub(super) async fn drain(
    page: State<Page>,
    visitor: Option<Extension<Visitor>>,
    worker: Path<String>,
    from: Query<ReturnTo>,
) -> Response {
    set_drain(page, visitor, worker, from, true).await
}

pub(super) async fn resume(
    page: State<Page>,
    visitor: Option<Extension<Visitor>>,
    worker: Path<String>,
    from: Query<ReturnTo>,
) -> Response {
    set_drain(page, visitor, worker, from, false).await
}

async fn set_drain(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Path(worker): Path<String>,
    Query(from): Query<ReturnTo>,
    drain: bool,
) -> Response {
    if !page.may_act(visitor) {
        return page.forbidden();
    }
    let Ok(worker) = worker.parse::<WorkerId>() else {
        return page.no_such("worker");
    };
    match page.handle.drain(worker, drain).await {
        Ok(()) if from.from == "now" => Redirect::to("/#workers").into_response(),
        Ok(()) if from.from == "workers" => Redirect::to("/workers").into_response(),
        Ok(()) => Redirect::to(&format!("/workers/{worker}")).into_response(),
        Err(Refused::Unknown) => page.no_such("worker"),
        Err(refused) => page.refused(refused),
    }
}

pub(super) async fn cancel(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Path(job): Path<String>,
    Query(query): Query<UserQuery>,
) -> Response {
    if !page.may_act(visitor) {
        return page.forbidden();
    }
    let Ok(id) = job.parse::<JobId>() else {
        return page.no_such("job");
    };
    let jobs = match page.handle.find(id).await {
        Ok(jobs) => jobs,
        Err(refused) => return page.refused(refused),
    };
    let under_way = jobs.into_iter().filter_map(|job| match job {
        Job::UnderWay(job) => Some(job),
        Job::Ended(_) => None,
    });
    let wanted = under_way
        .filter(|job| query.user.as_deref().is_none_or(|user| job.user.as_str() == user))
        .map(|job| JobKey { user: job.user, id: job.id });
    let mut any = false;
    for key in wanted {
        any = true;
        match page.handle.cancel(key).await {
            // A job that has ended in the meantime is shown as it ended.
            Ok(()) | Err(Refused::Unknown) => {}
            Err(refused) => return page.refused(refused),
        }
    }
    if any {
        return Redirect::to(&format!("/jobs/{id}")).into_response();
    }
    page.problem(
        StatusCode::NOT_FOUND,
        "No such job in progress",
        "It may have ended in the meantime.",
    )
}
