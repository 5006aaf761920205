//! The API's description, for people and for client generators.

use axum::Router;
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

use super::json::Json;
use super::problem::{MEDIA_TYPE, Problem};
use super::{api, health, metrics};

/// `/openapi.json`.
pub(super) fn router() -> Router {
    let document = documentation();
    Router::new().route("/openapi.json", get(async move || Json(document)))
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "simple-dist",
        description = "Run pure functions on other machines; every call returns.",
        license(name = "MIT OR Apache-2.0")
    ),
    nest((path = "/api/v1", api = api::Documentation)),
    paths(health::healthz, health::readyz, metrics::metrics),
    components(schemas(Problem)),
    modifiers(&Common)
)]
struct Documentation;

/// The whole description.
pub(super) fn documentation() -> OpenApi {
    Documentation::openapi()
}

/// Responses that any route can give: those of the middleware.
struct Common;

const EVERYWHERE: [(&str, &str); 7] = [
    ("400", "`bad-request`: for instance two hosts"),
    ("401", "`token-needed`"),
    ("403", "`actions-off`: no token is set; `foreign-origin`: another site sent this"),
    ("408", "`slow`: the request took too long"),
    ("421", "`wrong-host`: the host name is not one of ours"),
    ("500", "`internal`"),
    ("503", "`busy`"),
];

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        for (path, item) in &mut document.paths.paths {
            if matches!(path.as_str(), "/healthz" | "/readyz") {
                continue;
            }
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                for (status, description) in EVERYWHERE {
                    let responses = &mut operation.responses.responses;
                    responses.entry(status.to_owned()).or_insert_with(|| problem(description));
                }
            }
        }
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let token = token.description(Some(
            "The distributor's token; or as the password of a basic login. On loopback only \
             changes need it.",
        ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    }
}

fn problem(description: &str) -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build().into()
}
