//! Calling a failed job again, and the page with its answer.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use simple_dist_protocol::message::Answer;
use simple_dist_protocol::{JobId, limits, text, value_to_json};

use super::failures::kind;
use super::jobs::label;
use super::{Frame, Page, Visitor, html};
use crate::operator::{NotRetried, Operator};
use crate::view::Seconds;
use crate::web::peers::Peer;

/// The most characters shown of a value or a message, and the most bytes of a value decoded at all.
const SHOWN: (usize, usize) = (2000, 64 << 10);

#[derive(Template)]
#[template(path = "retried.html")]
struct RetriedPage {
    frame: Frame,
    says: &'static str,
    tone: &'static str,
    /// The value, or what is said instead.
    text: String,
    facts: String,
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
    let retried = match operator.retry(before, limits::TIMEOUT_DEFAULT).await {
        Ok(retried) => retried,
        Err(NotRetried::Unknown) => return page.no_such("job"),
        Err(NotRetried::Refused(refused)) => return page.refused(refused),
        Err(not) => {
            let status = match not {
                NotRetried::Gone => StatusCode::GONE,
                _ => StatusCode::CONFLICT,
            };
            let mut why = format!("{not}.");
            why[..1].make_ascii_uppercase();
            return page.problem(status, "It is not run again", &why);
        }
    };
    let answered = &retried.answered;
    let (says, tone, text) = told(&answered.answer);
    let mut frame = page.frame(&page.handle.view(), "jobs", "Run again".to_owned(), true);
    // A reload would call it once more.
    frame.parts = "status";
    let took = Seconds(answered.took_us as f64 / 1e6);
    let facts = match answered.worker {
        Some(worker) => format!("{} ran it for {took}.", worker.short()),
        None => "No worker ran it.".to_owned(),
    };
    html(
        &page.base,
        RetriedPage {
            frame,
            says,
            tone,
            text,
            facts,
            job: retried.id,
            before: label(before),
            function: retried.function.to_string(),
        }
        .render(),
    )
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
