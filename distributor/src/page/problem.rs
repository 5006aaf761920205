//! The pages that say why something is not there, or was not done.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::{Page, html};
use crate::handle::Refused;
use crate::web::BasePath;

/// The page for unknown addresses; the outer router uses it as its fallback.
pub(crate) fn not_found(base: &BasePath) -> Response {
    let problem = ProblemPage {
        title: "Page not found".to_owned(),
        text: "The address may have been mistyped.".to_owned(),
    };
    (StatusCode::NOT_FOUND, html(base, problem.render())).into_response()
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    title: String,
    text: String,
}

impl Page {
    pub(super) fn problem(&self, status: StatusCode, title: &str, text: &str) -> Response {
        let problem = ProblemPage { title: title.to_owned(), text: text.to_owned() };
        (status, html(&self.base, problem.render())).into_response()
    }

    pub(super) fn no_such(&self, thing: &str) -> Response {
        self.problem(
            StatusCode::NOT_FOUND,
            &format!("No such {thing}"),
            "It may be too old: what has ended is kept only for a while.",
        )
    }

    pub(super) fn forbidden(&self) -> Response {
        self.problem(
            StatusCode::FORBIDDEN,
            "This needs the token",
            "Log in with the distributor's token first.",
        )
    }

    pub(super) fn refused(&self, refused: Refused) -> Response {
        let text = match refused {
            Refused::NotActive => "This distributor is on standby. Ask the active one.",
            Refused::Busy => "The distributor did not answer in time. Try again in a moment.",
            Refused::Unknown => "It does not exist, or is gone.",
        };
        let status = match refused {
            Refused::NotActive | Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Unknown => StatusCode::NOT_FOUND,
        };
        self.problem(status, "That did not work", text)
    }
}
