//! Logging in and out: the token becomes a session cookie. The form itself is a page.

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;

use crate::counters;

use super::middleware::unix_time;
use super::problem::{Kind, Problem};
use super::session;
use super::settings::Settings;

/// What the form sends.
#[derive(Deserialize)]
struct Login {
    token: String,
}

/// `POST /login` and `POST /logout`.
pub(super) fn router(settings: Settings) -> Router {
    Router::new().route("/login", post(login)).route("/logout", post(logout)).with_state(settings)
}

async fn login(
    State(settings): State<Settings>,
    form: Result<Form<Login>, FormRejection>,
) -> Result<Response, Problem> {
    let Form(login) =
        form.map_err(|rejection| Problem::new(Kind::BadRequest, rejection.body_text()))?;
    let Some(token) = &settings.token else {
        return Err(Problem::new(Kind::ActionsOff, "this distributor has no token to log in with"));
    };
    if !token.is(login.token.trim().as_bytes()) {
        counters::WRONG_TOKENS.add();
        tracing::warn!("a login with a wrong token");
        return Ok(settings.base_path.to("/login?wrong").into_response());
    }
    let cookie = session::begin(token, unix_time());
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), settings.base_path.to("/")).into_response())
}

async fn logout(State(settings): State<Settings>) -> Response {
    (AppendHeaders([(SET_COOKIE, session::end())]), settings.base_path.to("/")).into_response()
}
