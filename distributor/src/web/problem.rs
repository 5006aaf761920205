//! Every error of the API has one shape: `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use simple_dist_protocol::message::Crash;
use simple_dist_protocol::{JobId, WorkerId, text};
use utoipa::ToSchema;

use crate::handle::Refused;
use crate::view::CrashReport;

/// The media type of an error.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// The prefix of every `type`; the rest is the kind: `urn:simple-dist:problem:not-served`.
const TYPES: &str = "urn:simple-dist:problem:";
/// The `Retry-After` of a 503, in seconds.
const SOON: u32 = 1;

/// What went wrong: `type` for programs, `detail` for people.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:simple-dist:problem:` and the kind. A kind never changes its name.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub(crate) kind: Box<str>,
    /// The kind in words.
    pub(crate) title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub(crate) status: u16,
    /// What went wrong this time, as a sentence.
    pub(crate) detail: String,
    /// The id of the job, if one was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) job: Option<Box<str>>,
    /// The ids of the workers that were lost while running the job.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    pub(crate) workers: Box<[String]>,
    /// The processes that the job ended.
    #[serde(skip_serializing_if = "<[CrashReport]>::is_empty")]
    #[schema(value_type = Vec<CrashReport>, required = false)]
    pub(crate) crashes: Box<[CrashReport]>,
    /// The error that the function returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Box<Value>>,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request is malformed.
    BadRequest,
    /// The token is missing or wrong.
    TokenNeeded,
    /// No token is configured, so nothing can be changed.
    ActionsOff,
    /// A page of another site sent the request.
    ForeignOrigin,
    /// It does not exist.
    NotFound,
    /// It exists, but does not support this method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    Slow,
    /// The job has already ended.
    Conflict,
    /// The job has not failed.
    NotFailed,
    /// It was here, but is not kept any more.
    Gone,
    /// The job was cancelled before it ended.
    Cancelled,
    /// Arguments or value are over the limit.
    TooLarge,
    /// The content type is not JSON.
    NotJson,
    /// The request was for another host.
    WrongHost,
    /// The function returned an error.
    Failed,
    /// The function panicked on these arguments.
    Panicked,
    /// The function does not take these arguments.
    BadArguments,
    /// Workers, or processes of theirs, were lost while running the job, so it is not run again.
    Poisoned,
    /// A bug in the distributor.
    Internal,
    /// The value cannot be encoded, or has no counterpart in JSON.
    BadValue,
    /// No live worker serves the function.
    NotServed,
    /// A limit is reached.
    Busy,
    /// This distributor is not the active one.
    NotActive,
    /// The call's timeout elapsed.
    Expired,
}

impl Kind {
    /// Status, name and title. An error that a retry cannot fix is never a 503: proxies would retry
    /// it.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as Code;
        match self {
            Self::BadRequest => (Code::BAD_REQUEST, "bad-request", "bad request"),
            Self::TokenNeeded => (Code::UNAUTHORIZED, "token-needed", "a token is needed"),
            Self::ActionsOff => (Code::FORBIDDEN, "actions-off", "actions are off"),
            Self::ForeignOrigin => (Code::FORBIDDEN, "foreign-origin", "sent by another site"),
            Self::NotFound => (Code::NOT_FOUND, "not-found", "not found"),
            Self::MethodNotAllowed => {
                (Code::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed")
            }
            Self::Slow => (Code::REQUEST_TIMEOUT, "slow", "the request took too long"),
            Self::Conflict => (Code::CONFLICT, "ended", "the job has already ended"),
            Self::NotFailed => (Code::CONFLICT, "not-failed", "the job has not failed"),
            Self::Gone => (Code::GONE, "gone", "no longer kept"),
            Self::Cancelled => (Code::CONFLICT, "cancelled", "the job was cancelled"),
            Self::TooLarge => (Code::PAYLOAD_TOO_LARGE, "too-large", "over the limit"),
            Self::NotJson => (Code::UNSUPPORTED_MEDIA_TYPE, "not-json", "the body is not JSON"),
            Self::WrongHost => (Code::MISDIRECTED_REQUEST, "wrong-host", "unknown host name"),
            Self::Failed => (Code::UNPROCESSABLE_ENTITY, "failed", "the function failed"),
            Self::Panicked => {
                (Code::UNPROCESSABLE_ENTITY, "panicked", "the function panicked on these arguments")
            }
            Self::BadArguments => {
                (Code::BAD_REQUEST, "bad-arguments", "the function does not take these arguments")
            }
            Self::Poisoned => {
                (Code::INTERNAL_SERVER_ERROR, "poisoned", "the job ended what ran it too often")
            }
            Self::Internal => (Code::INTERNAL_SERVER_ERROR, "internal", "the distributor failed"),
            Self::BadValue => {
                (Code::BAD_GATEWAY, "bad-value", "the value cannot be returned as JSON")
            }
            Self::NotServed => {
                (Code::SERVICE_UNAVAILABLE, "not-served", "no live worker serves the function")
            }
            Self::Busy => (Code::SERVICE_UNAVAILABLE, "busy", "too busy"),
            Self::NotActive => {
                (Code::SERVICE_UNAVAILABLE, "not-active", "this distributor is not active")
            }
            Self::Expired => (Code::GATEWAY_TIMEOUT, "expired", "the call timed out"),
        }
    }
}

impl Problem {
    /// A problem of this kind.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (status, name, title) = kind.parts();
        Self {
            kind: format!("{TYPES}{name}").into(),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            job: None,
            workers: Box::default(),
            crashes: Box::default(),
            error: None,
        }
    }

    /// Adds the job it is about.
    pub(crate) fn of(mut self, job: JobId) -> Self {
        self.job = Some(job.to_string().into());
        self
    }

    /// Adds the error that the function returned.
    pub(crate) fn with(mut self, error: Option<Value>) -> Self {
        self.error = error.map(Box::new);
        self
    }

    /// Adds the workers that were lost.
    pub(crate) fn naming(mut self, workers: &[WorkerId]) -> Self {
        self.workers = workers.iter().map(ToString::to_string).collect();
        self
    }
}

impl Problem {
    /// Adds how the processes ended that ran the job.
    pub(crate) fn telling(mut self, crashes: &[Crash]) -> Self {
        self.crashes = crashes.iter().map(CrashReport::from).collect();
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = text::json(&self).unwrap_or_default();
        let mut response = (status, Body::from(body)).into_response();
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, SOON.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            // Not `Basic`: browsers would open their own dialog over our login page.
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer realm="simple-dist""#),
            );
        }
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let kind = match refused {
            Refused::NotActive => Kind::NotActive,
            Refused::Busy => Kind::Busy,
            Refused::Unknown => Kind::NotFound,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(Kind::BadRequest, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(Kind::NotFound, rejection.body_text())
    }
}
