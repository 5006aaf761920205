//! Operator actions: drain and resume a worker, cancel a job; and the list of all that operators did.
//! The middleware has checked that the visitor may act; without a configured token nobody may.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use simple_dist_protocol::{JobId, WorkerId};

use super::{Frame, Page, Visitor, html};
use crate::handle::Refused;
use crate::operator::{Cancel, Operator};
use crate::view::Action;
use crate::view::format::time_of_day;
use crate::web::peers::Peer;

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
    peer: Option<Extension<Peer>>,
    worker: Path<String>,
    from: Query<ReturnTo>,
) -> Response {
    set_drain(page, visitor, peer, worker, from, true).await
}

pub(super) async fn resume(
    page: State<Page>,
    visitor: Option<Extension<Visitor>>,
    peer: Option<Extension<Peer>>,
    worker: Path<String>,
    from: Query<ReturnTo>,
) -> Response {
    set_drain(page, visitor, peer, worker, from, false).await
}

async fn set_drain(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    peer: Option<Extension<Peer>>,
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
    match Operator::new(page.handle.clone(), peer).drain(worker, drain).await {
        Ok(()) if from.from == "now" => page.base.to("/#workers").into_response(),
        Ok(()) if from.from == "workers" => page.base.to("/workers").into_response(),
        Ok(()) => page.base.to(&format!("/workers/{worker}")).into_response(),
        Err(Refused::Unknown) => page.no_such("worker"),
        Err(refused) => page.refused(refused),
    }
}

pub(super) async fn cancel(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    peer: Option<Extension<Peer>>,
    Path(job): Path<String>,
    Query(query): Query<UserQuery>,
) -> Response {
    if !page.may_act(visitor) {
        return page.forbidden();
    }
    let Ok(id) = job.parse::<JobId>() else {
        return page.no_such("job");
    };
    let operator = Operator::new(page.handle.clone(), peer);
    match operator.cancel(id, query.user.as_deref()).await {
        Ok(Cancel::Cancelled) => page.base.to(&format!("/jobs/{id}")).into_response(),
        Ok(Cancel::HasEnded | Cancel::Unknown) => page.problem(
            StatusCode::NOT_FOUND,
            "No such job in progress",
            "It may have ended in the meantime.",
        ),
        Err(refused) => page.refused(refused),
    }
}

#[derive(Template)]
#[template(path = "actions.html")]
struct ActionsPage {
    frame: Frame,
    rows: Vec<ActionRow>,
}

/// What an operator did.
struct ActionRow {
    when: String,
    by: String,
    what: String,
}

/// `/actions`: what operators did.
pub(super) async fn list(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
) -> Response {
    let view = page.handle.view();
    let row = |action: &Action| ActionRow {
        when: time_of_day(action.unix_ms),
        by: action.by.clone().unwrap_or_else(|| "-".to_owned()),
        what: action.what.clone(),
    };
    let frame = page.frame(&view, "", "Operators' actions".to_owned(), page.may_act(visitor));
    let rows = view.actions.iter().map(row).collect();
    html(&page.base, ActionsPage { frame, rows }.render())
}
