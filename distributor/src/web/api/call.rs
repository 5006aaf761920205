//! Calling a function over HTTP: if the caller hangs up, the job is cancelled.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use simple_dist_protocol::message::{Answer, Answered, Bound, Crash};
use simple_dist_protocol::{
    Address, JobId, JsonError, Selector, arguments_from_json, limits, value_to_json,
    write_value_as_json,
};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use utoipa::IntoParams;

use crate::handle::{Handle, HttpAnswer, HttpCall};
use crate::view::View;
use crate::web::api::caching;
use crate::web::json_body;
use crate::web::memory::{
    BODY_BYTES, MemoryBudget, MemoryReserved, Permit, Reservation, UNBUDGETED,
};
use crate::web::peers::Peer;
use crate::web::problem::{Kind, Problem};

/// How long a body may take to arrive, including the wait for memory.
const READING: Duration = Duration::from_secs(30);
/// The bytes that a parsed object takes besides its text, and an item of a list or object.
const OBJECT: usize = 640;
const ITEM: usize = 64;

/// Options of a call.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CallQuery {
    /// Seconds until the caller gives up; 60 by default.
    #[param(minimum = 0.001, maximum = 3600.0, example = 5.0)]
    pub(super) timeout: Option<f64>,
    /// The priority, highest first; 4 by default.
    #[param(minimum = 0, maximum = 9)]
    priority: Option<u8>,
}

/// Calls a function and waits for its value.
///
/// The body is the JSON array of its arguments: `[20]` is `fib(20)`, `[1,0]` are two arguments,
/// `[]` is none, `[[1,2]]` is one list. Bytes are `{"$bytes": "<base64>"}`. Closing the connection
/// cancels the job. A header `traceparent` is passed on to the worker.
#[utoipa::path(post, path = "/functions/{name}/call", security((), ("token" = [])),
    params(
        ("name" = String, Path, description = "`fib`, or `fib@1` for that version only", example = "fib",
            min_length = 1, max_length = 70, pattern = "^[a-z][a-z0-9_.-]{0,63}(@[0-9]{1,5})?$"),
        ("if-none-match" = Option<String>, Header, description = "The `etag` of a value that the caller has"),
        ("cache-control" = Option<String>, Header, description = "`no-cache`: it is to run, whatever is kept"),
        CallQuery),
    request_body(content = Vec<Value>, content_type = "application/json", example = json!([20])),
    responses(
        (status = 200, description = "The value, as JSON", body = Value, content_type = "application/json",
            headers(
                ("x-simple-dist-job" = String, description = "The job's id"),
                ("x-simple-dist-worker" = String, description = "The worker that ran it"),
                ("x-simple-dist-attempt" = u32, description = "The number of the attempt that gave the value, from 1"),
                ("x-simple-dist-waited" = f64, description = "Seconds from submission to start"),
                ("x-simple-dist-coalesced" = bool, description = "`true` if it was the run of an equal call"),
                ("x-simple-dist-age" = f64, description = "Seconds since an equal call ended whose answer this is, if it was kept"),
                ("x-simple-dist-took" = f64, description = "Seconds the function ran"),
                ("etag" = String, description = "Of a deterministic function: what tells this call from others"),
                ("cache-control" = String, description = "`max-age` if its answers are kept: how long this one still is. `no-cache` if it is deterministic, else `no-store`"))),
        (status = 304, description = "The caller has the value: it named its `etag`, and the function is deterministic. Nothing has run"),
        (status = 400, description = "`bad-request`: not a JSON array, or a parameter out of range; `bad-arguments`: the function does not take these", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not-found`: no worker has ever served it", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`cancelled`: an operator cancelled the job", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`too-large`: the arguments or the value are too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`not-json`: the content type is not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`failed`: the function returned an error, which is in `error` up to 64 KiB, and its text in `detail`; `panicked`: the function panicked, and would again on these arguments", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "`poisoned`: workers were lost while running the job; `internal`: a bug in the distributor", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "`bad-value`: the value has no counterpart in JSON, or cannot be encoded at all", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`not-served`: no live worker serves it; `busy`: a limit is reached; `not-active`: use the active distributor", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "`expired`: the call timed out, and the job is cancelled", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn call(
    State(handle): State<Handle>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<CallQuery>, QueryRejection>,
    Extension(memory): Extension<MemoryBudget>,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(name) = path?;
    let bad = |detail: String| Problem::new(Kind::BadRequest, detail);
    let function: Selector =
        name.parse().map_err(|error: simple_dist_protocol::AddressError| {
            Problem::new(Kind::NotFound, error.to_string())
        })?;
    let Query(how) = query?;
    let priority = how.priority.unwrap_or(limits::PRIORITY_DEFAULT);
    if priority > limits::PRIORITY_MAX {
        return Err(bad(format!("`priority` is 0 to {}", limits::PRIORITY_MAX)));
    }
    let timeout = time(how.timeout).ok_or_else(|| bad("`timeout` is 0.001 to 3600".to_owned()))?;
    is_json(request.headers())?;
    let trace = trace(request.headers());
    let (fresh, known) = (caching::is_fresh(request.headers()), caching::known(request.headers()));
    let (args, waits) = arguments(&memory, request).await?;
    let id = JobId::new();
    let peer = peer.map(|Extension(Peer { address, .. })| address);
    let asked = function.clone();
    let call = HttpCall { id, function: asked, args, timeout, priority, trace, peer, fresh, known };
    let ended = handle.call(call).await.map_err(|refused| Problem::from(refused).of(id))?;
    drop(waits);
    let HttpAnswer { answered, purity } = ended;
    let Some(answered) = answered else { return Ok(caching::not_modified(purity.as_ref())) };
    let mut response = match answer(&handle, &memory, &function, id, &answered).await {
        Ok(mut response) => {
            caching::tell(response.headers_mut(), purity.as_ref(), Some(&answered));
            response
        }
        Err(problem) => problem.of(id).into_response(),
    };
    tell(response.headers_mut(), id, &answered);
    Ok(response)
}

pub(super) fn time(seconds: Option<f64>) -> Option<Duration> {
    let Some(seconds) = seconds else { return Some(limits::TIMEOUT_DEFAULT) };
    (0.001..=limits::TIMEOUT_MAX.as_secs_f64())
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// Browsers send other content types to foreign sites without a preflight request.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(Kind::NotJson, "send `content-type: application/json`, as curl's --json does"))
}

/// A W3C `traceparent`; a malformed one is not passed on.
fn trace(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    (lengths == [2, 32, 16, 2] && parts.iter().all(is_hex)).then(|| text.to_owned())
}

/// Reads the body and turns its arguments into MessagePack. Large ones are converted off the
/// runtime, which has to keep the broker link alive.
async fn arguments(
    memory: &MemoryBudget,
    request: Request,
) -> Result<(Bytes, Option<Reservation>), Problem> {
    let slow = |_| Problem::new(Kind::Slow, "the body took too long to arrive");
    let (_reserved, body) = timeout(READING, read(memory, request)).await.map_err(slow)??;
    if body.len() <= UNBUDGETED {
        return Ok((encode(&body)?, None));
    }
    let _values = memory.value(weight(&body)).await?;
    let slot = memory.value_slot().await?;
    let args = spawn_blocking(move || {
        let _slot = slot;
        encode(&body)
    });
    let args = args.await.map_err(lost)??;
    let waits = memory.arguments(args.len())?;
    Ok((args, Some(waits)))
}

/// Reads a body; a large one reserves memory for its declared length.
async fn read(
    memory: &MemoryBudget,
    request: Request,
) -> Result<(Option<Permit>, Vec<u8>), Problem> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(BODY_BYTES);
    let (mut held, mut body) = (None, Vec::new());
    let mut chunks = request.into_body().into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let broken = |_| Problem::new(Kind::BadRequest, "the body ended early");
        let chunk = chunk.map_err(broken)?;
        let bytes = body.len() + chunk.len();
        if bytes > BODY_BYTES {
            return Err(too_large(bytes as u64, BODY_BYTES as u64));
        }
        if bytes > UNBUDGETED && held.is_none() {
            let length = length.clamp(bytes, BODY_BYTES);
            held = Some(memory.body(length).await?);
            body.reserve_exact(length - body.len());
        }
        body.extend_from_slice(&chunk);
    }
    Ok((held, body))
}

/// Roughly the bytes that the parsed values of a JSON text take in memory.
fn weight(json: &[u8]) -> usize {
    let (mut bytes, mut is_text, mut is_escaped) = (json.len(), false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' if !is_text => bytes += OBJECT,
            b'[' | b',' if !is_text => bytes += ITEM,
            _ => {}
        }
    }
    bytes
}

fn encode(body: &[u8]) -> Result<Bytes, Problem> {
    let arguments: Vec<Value> = serde_json::from_slice(body).map_err(|error| {
        Problem::new(
            Kind::BadRequest,
            format!("the body is not a JSON array of arguments: {error}"),
        )
    })?;
    let args = arguments_from_json(&arguments)
        .map_err(|error| Problem::new(Kind::BadRequest, error.to_string()))?;
    if args.len() > limits::ARGUMENT_BYTES {
        let (bytes, limit) = (args.len(), limits::ARGUMENT_BYTES);
        return Err(too_large(bytes as u64, limit as u64));
    }
    Ok(args.into())
}

/// The value as JSON; a large one is written in chunks, with memory reserved until it is sent.
async fn decode(memory: &MemoryBudget, value: Bytes) -> Result<Response, Problem> {
    let media = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let bad = |error: JsonError| Problem::new(Kind::BadValue, error.to_string());
    if value.len() <= UNBUDGETED {
        let mut json = Vec::new();
        write_value_as_json(&value, &mut json).map_err(bad)?;
        return Ok((media, Body::from(json)).into_response());
    }
    let whole = memory.answer(value.len())?;
    let (slot, memory) = (memory.value_slot().await?, memory.clone());
    let body = spawn_blocking(move || {
        let _slot = slot;
        let more = json_body::measure(&value).map_err(bad)?.saturating_sub(value.len());
        json_body::body(&value, [whole, memory.answer(more)?]).map_err(bad)
    });
    let body = body.await.map_err(lost)??;
    Ok((media, Extension(MemoryReserved), body).into_response())
}

fn lost(_: tokio::task::JoinError) -> Problem {
    Problem::new(Kind::Internal, "this is a bug in the distributor; its log has the details")
}

fn too_large(bytes: u64, limit: u64) -> Problem {
    Problem::new(Kind::TooLarge, format!("{bytes} bytes; the limit is {limit}"))
}

/// The response for a job's answer.
pub(super) async fn answer(
    handle: &Handle,
    memory: &MemoryBudget,
    function: &Selector,
    id: JobId,
    answered: &Answered,
) -> Result<Response, Problem> {
    let problem = match &answered.answer {
        Answer::Value(value) => return decode(memory, value.clone()).await,
        Answer::Failed { message, error } => {
            let error =
                (error.len() <= UNBUDGETED).then(|| value_to_json(error)).and_then(Result::ok);
            Problem::new(Kind::Failed, message.clone()).with(error)
        }
        Answer::Panicked { message, unsendable: true, .. } => {
            Problem::new(Kind::BadValue, message.clone())
        }
        Answer::Panicked { message, .. } => Problem::new(Kind::Panicked, message.clone()),
        Answer::Poisoned { workers, crashes } => {
            let detail = match crashes.last() {
                Some(last) => format!("it is not run again: the process that ran it {}", was(last)),
                None => "it is not run again, so that no more workers are lost".to_owned(),
            };
            Problem::new(Kind::Poisoned, detail).naming(workers).telling(crashes)
        }
        Answer::NotServed if was_served(&handle.view(), function) => {
            Problem::new(Kind::NotServed, format!("no live worker serves {function}"))
        }
        Answer::NotServed => {
            Problem::new(Kind::NotFound, format!("no worker has ever served {function}"))
        }
        Answer::BadArguments { message } => Problem::new(Kind::BadArguments, message.clone()),
        Answer::TooLarge { bytes, limit } => too_large(*bytes, *limit),
        Answer::Busy => {
            let bound = answered.bound.unwrap_or(Bound::Other);
            Problem::new(Kind::Busy, format!("the job was refused: {bound}"))
        }
        Answer::Cancelled => Problem::new(Kind::Cancelled, "an operator cancelled it"),
        Answer::Expired => Problem::new(Kind::Expired, "it timed out and was cancelled"),
    };
    Err(problem.of(id))
}

/// How a process ended, in a sentence.
fn was(crash: &Crash) -> String {
    if crash.signal.is_some() { format!("was {crash}") } else { crash.to_string() }
}

/// Whether a known worker served it, or one must have, because the function has run.
fn was_served(view: &View, asked: &Selector) -> bool {
    let is = |name: &Arc<str>| name.parse::<Address>().is_ok_and(|address| asked.matches(&address));
    let ran = |function: &crate::view::Function| {
        let has = |kind| function.answers.contains_key(kind);
        let ran = ["failed", "panicked", "unsendable"];
        function.workers > 0 || function.done > 0 || ran.into_iter().any(has)
    };
    view.workers.iter().any(|worker| worker.functions.iter().any(is))
        || view.functions.iter().any(|function| is(&function.name) && ran(function))
}

/// Adds headers that say where the job ran and how long it took.
pub(super) fn tell(headers: &mut HeaderMap, id: JobId, answered: &Answered) {
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("x-simple-dist-job", id.to_string());
    if let Some(worker) = answered.worker {
        put("x-simple-dist-worker", worker.to_string());
    }
    put("x-simple-dist-attempt", answered.attempt.to_string());
    if answered.coalesced {
        put("x-simple-dist-coalesced", "true".to_owned());
    }
    if let Some(age) = answered.memo_age_ms {
        put("x-simple-dist-age", format!("{:.3}", age as f64 / 1e3));
    }
    put("x-simple-dist-waited", format!("{:.3}", answered.waited_ms as f64 / 1e3));
    put("x-simple-dist-took", format!("{:.6}", answered.took_us as f64 / 1e6));
}
