//! JSON that is safe to show anywhere: text from others contains visible characters and escapes
//! only.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use simple_dist_protocol::text;

use super::problem::{Kind, Problem};

/// A response with this value as its body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match text::json(&self.0) {
            Ok(json) => {
                let media = HeaderValue::from_static("application/json");
                ([(CONTENT_TYPE, media)], json).into_response()
            }
            Err(error) => Problem::new(Kind::Internal, error.to_string()).into_response(),
        }
    }
}
