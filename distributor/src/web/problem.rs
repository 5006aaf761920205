//! Every error of the API in one shape: `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use simple_dist_protocol::{JobId, WorkerId, text};
use utoipa::ToSchema;

use crate::desk::Refused;

/// The media type of an error.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// What a type begins with; the rest is the kind: `urn:simple-dist:problem:not-served`.
const TYPES: &str = "urn:simple-dist:problem:";
/// When to try again what there was no room for, in seconds.
const SOON: u32 = 1;

/// What went wrong, for programs by its `type` and for people by its `detail`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:simple-dist:problem:` and the kind: it never changes.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The kind in words.
    pub(crate) title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub(crate) status: u16,
    /// What went wrong this time.
    pub(crate) detail: String,
    /// The job, where one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
    /// The workers that were lost with the job.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    pub(crate) workers: Box<[String]>,
    #[serde(skip)]
    again: Option<u32>,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request is not what the documentation asks for.
    BadRequest,
    /// A token is needed, and none or a wrong one came.
    TokenNeeded,
    /// Without a token set, people cannot change anything.
    ActionsOff,
    /// Another site sent this.
    ForeignOrigin,
    /// There is no such thing.
    NotFound,
    /// There is, but it cannot be asked this.
    MethodNotAllowed,
    /// The request did not come in time.
    Slow,
    /// The job has ended already, or was cancelled.
    Conflict,
    /// The job was cancelled before it had ended.
    Cancelled,
    /// Arguments or value are over the limit.
    TooLarge,
    /// The body is not JSON by its own word.
    NotJson,
    /// The request was for another host.
    WrongHost,
    /// The function panicked on these arguments.
    Panicked,
    /// The function does not take these arguments.
    BadArguments,
    /// Workers were lost with the job, so nobody may run it again.
    Poisoned,
    /// We failed.
    Internal,
    /// The value cannot be sent, or has no counterpart in JSON.
    BadValue,
    /// Nobody serves the function now.
    NotServed,
    /// There is no room.
    Busy,
    /// This distributor does not lead.
    NotActive,
    /// The call's time passed.
    Expired,
}

impl Kind {
    /// Status, name and title. What a retry cannot mend is no 503: proxies would try again.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as Code;
        match self {
            Self::BadRequest => (Code::BAD_REQUEST, "bad-request", "bad request"),
            Self::TokenNeeded => (Code::UNAUTHORIZED, "token-needed", "a token is needed"),
            Self::ActionsOff => (Code::FORBIDDEN, "actions-off", "actions are off"),
            Self::ForeignOrigin => (Code::FORBIDDEN, "foreign-origin", "sent by another site"),
            Self::NotFound => (Code::NOT_FOUND, "not-found", "there is no such thing"),
            Self::MethodNotAllowed => {
                (Code::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed")
            }
            Self::Slow => (Code::REQUEST_TIMEOUT, "slow", "the request did not come in time"),
            Self::Conflict => (Code::CONFLICT, "ended", "it has ended already"),
            Self::Cancelled => (Code::CONFLICT, "cancelled", "the job was cancelled"),
            Self::TooLarge => (Code::PAYLOAD_TOO_LARGE, "too-large", "over the limit"),
            Self::NotJson => (Code::UNSUPPORTED_MEDIA_TYPE, "not-json", "the body is not JSON"),
            Self::WrongHost => (Code::MISDIRECTED_REQUEST, "wrong-host", "not our name"),
            Self::Panicked => {
                (Code::UNPROCESSABLE_ENTITY, "panicked", "the function panicked on these arguments")
            }
            Self::BadArguments => {
                (Code::BAD_REQUEST, "bad-arguments", "the function does not take these arguments")
            }
            Self::Poisoned => {
                (Code::INTERNAL_SERVER_ERROR, "poisoned", "workers were lost with the job")
            }
            Self::Internal => (Code::INTERNAL_SERVER_ERROR, "internal", "the distributor failed"),
            Self::BadValue => (Code::BAD_GATEWAY, "bad-value", "the value cannot be passed on"),
            Self::NotServed => (Code::SERVICE_UNAVAILABLE, "not-served", "nobody serves it now"),
            Self::Busy => (Code::SERVICE_UNAVAILABLE, "busy", "there is no room now"),
            Self::NotActive => {
                (Code::SERVICE_UNAVAILABLE, "not-active", "this distributor does not lead")
            }
            Self::Expired => (Code::GATEWAY_TIMEOUT, "expired", "the call's time passed"),
        }
    }
}

impl Problem {
    /// A problem of this kind.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (status, name, title) = kind.parts();
        Self {
            kind: format!("{TYPES}{name}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            job: None,
            workers: Box::default(),
            again: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(SOON),
        }
    }

    /// The job it is about.
    pub(crate) fn of(mut self, job: JobId) -> Self {
        self.job = Some(job.to_string());
        self
    }

    /// The workers it took.
    pub(crate) fn naming(mut self, workers: &[WorkerId]) -> Self {
        self.workers = workers.iter().map(ToString::to_string).collect();
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
        if let Some(seconds) = self.again {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            // Not `Basic`: browsers would ask in a window of their own, over our login page.
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
