//! Calling a failed job again: it is sent at once, and a page of its own shows what comes of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use simple_dist_protocol::message::{Answer, Answered};
use simple_dist_protocol::{JobId, limits, text, value_to_json};
use tokio::task::JoinSet;

use super::failures::kind;
use super::jobs::label;
use super::{Frame, Page, Visitor, html};
use crate::handle::{HttpCall, Refused};
use crate::operator::{NotRetried, Operator, called};
use crate::view::Seconds;
use crate::web::peers::Peer;

/// The most characters shown of a value or a message, and the most bytes of a value decoded at all.
const SHOWN: (usize, usize) = (2000, 64 << 10);
/// The most retries whose answers are awaited or kept: of a value 2,000 characters.
const KEPT: usize = 64;

/// The retries from the page. The calls end with the page's server; no browser needs to wait for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Retries(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    calls: JoinSet<(JobId, Told)>,
    /// The newest last.
    retries: VecDeque<Retry>,
}

/// A job that is called again.
#[derive(Debug, Clone)]
struct Retry {
    job: JobId,
    before: JobId,
    function: String,
    /// What came of it, once that is known.
    told: Option<Told>,
}

/// What came of a retry, in words.
#[derive(Debug, Clone)]
struct Told {
    says: String,
    tone: &'static str,
    /// The value, or the message.
    text: String,
    facts: String,
}

impl Retries {
    /// Makes the call; whether there is room for it.
    fn begin(&self, before: JobId, page: &Page, call: HttpCall) -> bool {
        let mut kept = self.kept();
        if kept.retries.len() >= KEPT {
            let Some(over) = kept.retries.iter().position(|retry| retry.told.is_some()) else {
                return false;
            };
            kept.retries.remove(over);
        }
        let (job, function, handle) = (call.id, call.function.to_string(), page.handle.clone());
        kept.retries.push_back(Retry { job, before, function, told: None });
        kept.calls.spawn(async move { (job, Told::of(called(&handle, call).await)) });
        true
    }

    fn find(&self, job: JobId) -> Option<Retry> {
        self.kept().retries.iter().find(|retry| retry.job == job).cloned()
    }

    /// With what has been answered in the meantime.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = kept.calls.try_join_next() {
            let Ok((job, told)) = ended else { continue };
            if let Some(retry) = kept.retries.iter_mut().find(|retry| retry.job == job) {
                retry.told = Some(told);
            }
        }
        kept
    }
}

#[derive(Template)]
#[template(path = "retried.html")]
struct RetriedPage {
    frame: Frame,
    told: Told,
    /// The new job and the old one.
    job: JobId,
    before: String,
    function: String,
}

/// `POST /jobs/{id}/retry`.
pub(super) async fn retry(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    peer: Option<Extension<Peer>>,
    Path(before): Path<String>,
) -> Response {
    if !page.may_act(visitor) {
        return page.forbidden();
    }
    let Ok(before) = before.parse::<JobId>() else { return page.no_such("job") };
    let operator = Operator::new(page.handle.clone(), peer);
    let call = match operator.begin_retry(before, limits::TIMEOUT_DEFAULT).await {
        Ok(call) => call,
        Err(NotRetried::Unknown) => return page.no_such("job"),
        Err(NotRetried::Refused(refused)) => return page.refused(refused),
        Err(not @ (NotRetried::Gone | NotRetried::UnderWay | NotRetried::DidNotFail)) => {
            let is_gone = matches!(not, NotRetried::Gone);
            let status = if is_gone { StatusCode::GONE } else { StatusCode::CONFLICT };
            let mut why = format!("{not}.");
            why[..1].make_ascii_uppercase();
            return page.problem(status, "It is not run again", &why);
        }
    };
    let job = call.id;
    if !page.retries.begin(before, &page, call) {
        return page.refused(Refused::Busy);
    }
    page.base.to(&format!("/jobs/{job}/retried")).into_response()
}

/// `/jobs/{id}/retried`: what has come of it so far.
pub(super) async fn retried(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Path(job): Path<String>,
) -> Response {
    let Ok(job) = job.parse::<JobId>() else { return page.no_such("job") };
    let found = page.retries.find(job).filter(|_| page.may_act(visitor));
    let Some(Retry { job, before, function, told }) = found else {
        return page.base.to(&format!("/jobs/{job}")).into_response();
    };
    let frame = page.frame(&page.handle.view(), "jobs", "Run again".to_owned(), true);
    let (told, before) = (told.unwrap_or_else(Told::sent), label(before));
    html(&page.base, RetriedPage { frame, told, job, before, function }.render())
}

impl Told {
    fn sent() -> Self {
        let limit = Seconds::from(limits::TIMEOUT_DEFAULT);
        let facts = format!("This page shows its answer when it comes, within {limit}.");
        Self { says: "sent".to_owned(), tone: "dim", text: String::new(), facts }
    }

    fn of(answered: Result<Answered, Refused>) -> Self {
        let answered = match answered {
            Ok(answered) => answered,
            Err(refused) => {
                let (text, facts) = (String::new(), "No worker ran it.".to_owned());
                return Self { says: refused.to_string(), tone: "bad", text, facts };
            }
        };
        let (says, tone, text) = told(&answered.answer);
        let took = Seconds(answered.took_us as f64 / 1e6);
        let facts = match answered.worker {
            Some(worker) => format!("{} ran it for {took}.", worker.short()),
            None => "No worker ran it.".to_owned(),
        };
        Self { says: says.to_owned(), tone, text, facts }
    }
}

/// How it ended, its tone, and the value or message.
fn told(answer: &Answer) -> (&'static str, &'static str, String) {
    let (characters, bytes) = SHOWN;
    let shown = |said: &str| text::line(said, characters).to_string();
    let text = match answer {
        Answer::Value(value) if value.len() > bytes => format!("{} bytes", value.len()),
        Answer::Value(value) => match value_to_json(value) {
            Ok(json) => shown(&json.to_string()),
            Err(_) => format!("{} bytes that are no JSON", value.len()),
        },
        Answer::Failed { message, .. }
        | Answer::Panicked { message, .. }
        | Answer::BadArguments { message } => shown(message),
        Answer::Poisoned { .. }
        | Answer::NotServed
        | Answer::TooLarge { .. }
        | Answer::Busy
        | Answer::Cancelled
        | Answer::Expired => String::new(),
    };
    match answer {
        Answer::Value(_) => ("It gave a value", "ok", text),
        Answer::Cancelled => ("It was cancelled", "dim", text),
        answer => (kind(answer.kind()), "bad", text),
    }
}
