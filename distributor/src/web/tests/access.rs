//! Access, and the headers of every response.

use axum::routing::get;

use super::*;
use crate::web::memory::Limits;

const TOKEN: (&str, &str) = ("authorization", "Bearer abc");

#[tokio::test]
async fn a_login_gives_a_session_that_opens_what_the_token_opens() {
    let fixture = on("0.0.0.0:8080", Some("abc"));
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let wrong = head("POST /login", &form).body("token=abd".into()).unwrap();
    let wrong = fixture.send(wrong).await;
    assert_eq!(
        (wrong.status.as_u16(), &wrong.headers["location"]),
        (303, &"/login?wrong".parse().unwrap())
    );
    assert!(!wrong.headers.contains_key("set-cookie"));
    let right = head("POST /login", &form).body("token=abc".into()).unwrap();
    let right = fixture.send(right).await;
    assert_eq!((right.status.as_u16(), &right.headers["location"]), (303, &"/".parse().unwrap()));
    let cookie = right.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap();
    assert_eq!(fixture.ask("GET /api/v1/status", &[("cookie", cookie)]).await.status, 200);
    assert_eq!(fixture.get("/api/v1/status").await.problem(), "token-needed");
    let out = fixture.ask("POST /logout", &[]).await;
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(fixture.send(head("POST /login", &[]).body("x".into()).unwrap()).await.status, 400);
}

#[tokio::test]
async fn a_browser_without_the_token_sees_the_login_page() {
    let fixture = on("0.0.0.0:8080", Some("abc"));
    let answer = fixture.ask("GET /api/v1/status", &[("accept", "text/html")]).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["location"]),
        (303, &"/login".parse().unwrap())
    );
    let answer = fixture.get("/api/v1/status").await;
    assert_eq!(answer.status, 401);
    assert!(answer.headers.contains_key("www-authenticate"));
    assert_eq!(fixture.ask("GET /api/v1/status", &[TOKEN]).await.status, 200);
}

#[tokio::test]
async fn without_a_token_nothing_is_changed() {
    let fixture = fixture();
    for path in [
        "workers/1/drain",
        "workers/1/resume",
        "jobs/1/cancel",
        "jobs/1/retry",
        "jobs/cancel?user=a",
    ] {
        let answer = fixture.ask(&format!("POST /api/v1/{path}"), &[TOKEN]).await;
        assert_eq!(answer.problem(), "actions-off", "{path}");
    }
    assert!(fixture.requests.is_empty());
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let fixture = fixture();
    for path in ["/api/v1/status", "/nowhere", "/healthz", "/metrics", "/api/v1/events?x"] {
        let request = head(&format!("GET {path}"), &[]).body(Body::empty()).unwrap();
        let headers = fixture.app.clone().oneshot(request).await.unwrap().into_parts().0.headers;
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"));
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(headers["cache-control"].to_str().unwrap().starts_with("no-"), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_host_is_refused() {
    let request = HttpRequest::get("/api/v1/status").header("host", "evil.example");
    let answer = fixture().send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (421, "wrong-host"));
    let answer =
        fixture().send(HttpRequest::get("/api/v1/status").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad-request"));
    for path in ["/api/v1/status", "/nowhere", "/healthz"] {
        let answer = fixture().ask(&format!("GET {path}"), &[("host", "localhost")]).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad-request"));
    }
}

#[tokio::test]
async fn an_unknown_path_needs_no_token() {
    for fixture in [on("0.0.0.0:8080", Some("abc")), on("127.0.0.1:8080", None)] {
        for (request, status) in [
            ("GET /nowhere", 404),
            ("POST /nowhere", 404),
            ("DELETE /api/v2/status", 404),
            ("POST /api/v1/functions/fib/a/call", 404),
            ("GET //api/v1/status", 404),
            ("GET /%61pi/v1/status", 404),
            ("DELETE /api/v1/status", 405),
            ("POST /metrics", 405),
            ("GET /api/v1/functions/fib/call", 405),
            ("PUT /workers/1/drain", 405),
        ] {
            let answer = fixture.ask(request, &[]).await;
            assert_eq!(answer.status.as_u16(), status, "{request}");
        }
    }
    let guarded = on("0.0.0.0:8080", Some("abc"));
    for request in [
        "GET /api/v1/status",
        "GET /api/v1/workers/none",
        "GET /jobs/none",
        "GET /openapi.json",
        "POST /api/v1/functions/fib/call",
        "POST /workers/1/drain",
    ] {
        assert_eq!(guarded.ask(request, &[]).await.problem(), "token-needed", "{request}");
    }
    for request in [
        "POST /workers/1/drain",
        "POST /workers/drain",
        "POST /jobs/1/cancel",
        "POST /jobs/cancel",
        "POST /jobs/1/retry",
        "POST /api/v1/jobs/1/cancel",
    ] {
        assert_eq!(fixture().ask(request, &[TOKEN]).await.problem(), "actions-off", "{request}");
    }
}

#[tokio::test]
async fn router_errors_are_problems_too() {
    let fixture = fixture();
    for (request, kind) in [
        ("GET /nowhere", "not-found"),
        ("GET /api/v1/nowhere", "not-found"),
        ("GET /api/v1/functions/fib/call", "method-not-allowed"),
        ("GET /api/v1/jobs?limit=x", "bad-request"),
        ("GET /api/v1/jobs?limit=0", "bad-request"),
        ("GET /api/v1/jobs?state=lost", "bad-request"),
        ("GET /api/v1/workers/%FF", "not-found"),
    ] {
        assert_eq!(fixture.ask(request, &[]).await.problem(), kind, "{request}");
    }
    let allow = &fixture.get("/api/v1/functions/fib/call").await.headers["allow"];
    assert_eq!(allow, "POST");
}

#[tokio::test]
async fn a_panic_is_a_500_and_does_not_end_the_server() {
    async fn panics() -> &'static str {
        panic!("secret")
    }
    let settings = Settings::new("127.0.0.1:8080".parse().unwrap());
    let app = middleware::apply(Router::new().route("/", get(panics)), settings, Limits::default());
    let fixture = Fixture { app, ..fixture() };
    let answer = fixture.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (500, "internal"));
    assert!(!answer.text().contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn every_request_has_a_timeout() {
    let settings = Settings::new("127.0.0.1:8080".parse().unwrap());
    let pending = Router::new().route("/", get(std::future::pending::<()>));
    let app = middleware::apply(pending, settings, Limits::default());
    let stuck = Fixture { app, ..fixture() };
    assert_eq!(stuck.get("/").await.problem(), "slow");
    let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, io::Error>>());
    let answer = fixture().send(call("fib/call", never)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (408, "slow"));
}

#[tokio::test]
async fn behind_a_proxys_path_every_link_and_redirect_is_under_it() {
    let (_view, views) = tokio::sync::watch::channel(Arc::new(sample::view()));
    let (handle, _requests) = Handle::open(views);
    let settings = Settings {
        token: Some(Secret::new("abc").unwrap()),
        base_path: "/dist".parse().unwrap(),
        ..Settings::new("0.0.0.0:8080".parse().unwrap())
    };
    let app = router(settings, handle, Limits::default(), CancellationToken::new());
    let asked = async |path: &str, headers: &[(&str, &str)]| {
        let request = head(&format!("GET {path}"), headers).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap()
    };
    let page = [TOKEN, ("accept", "text/html")];
    for path in ["/dist", "/dist/", "/", "/dist/jobs?q=x", "/jobs", "/dist/nowhere"] {
        let answer = asked(path, &page).await;
        assert_eq!(answer.status() == 404, path.ends_with("nowhere"), "{path}");
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.contains("src=\"/dist/assets/page.js\""), "{path}: {text}");
        let links = ["href=\"/", "action=\"/", "src=\"/"].map(|link| text.matches(link).count());
        let under = text.matches("=\"/dist/").count();
        assert_eq!(links.iter().sum::<usize>(), under, "{path}: {text}");
    }
    assert_eq!(asked("/dist/healthz", &[]).await.status(), 200);
    let login = asked("/dist/jobs", &[("accept", "text/html")]).await;
    assert_eq!(login.headers()["location"], "/dist/login");
}
