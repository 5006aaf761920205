//! Reads and operator actions.

use axum::http::Method;
use futures_util::StreamExt as _;
use simple_dist_protocol::JobId;

use super::*;
use crate::view::{Job, Place};

fn ids(answer: &Answer) -> Vec<u128> {
    let jobs = answer.json();
    let id = |job: &Value| job["id"].as_str().unwrap().parse::<JobId>().unwrap();
    let number = |id: JobId| (1..100).find(|number| JobId::from_u128(*number) == id).unwrap();
    jobs.as_array().unwrap().iter().map(|job| number(id(job))).collect()
}

#[tokio::test]
async fn the_status_is_the_view_without_lists() {
    let status = fixture().get("/api/v1/status").await.json();
    assert_eq!(status["sequence"], 7);
    assert_eq!(status["books"]["done"], 7);
    assert_eq!(status["distributor"]["phase"]["state"], "active");
    assert_eq!(status["counts"]["unserved"], 1);
    assert!(status.get("workers").is_none());
}

#[tokio::test]
async fn lists_are_those_of_the_view() {
    let fixture = fixture();
    let view = sample::view();
    for (path, length) in [
        ("workers", view.workers.len()),
        ("functions", view.functions.len()),
        ("clients", view.clients.len()),
    ] {
        let list = fixture.get(&format!("/api/v1/{path}")).await.json();
        assert_eq!(list.as_array().unwrap().len(), length, "{path}");
    }
    let stream = fixture.get("/api/v1/stream").await.json();
    assert_eq!(serde_json::from_value::<crate::view::Stream>(stream).unwrap(), view.stream);
    let worker = fixture.get(&format!("/api/v1/workers/{}", sample::LOST)).await.json();
    assert_eq!(worker["state"], "lost");
    assert_eq!(fixture.get("/api/v1/workers/w-9").await.problem(), "not-found");
}

#[tokio::test]
async fn a_function_without_a_version_is_the_one_that_is_served() {
    let fixture = fixture();
    for (asked, found) in [("fib", "fib@1"), ("fib@2", "fib@2"), ("slow", "slow@1")] {
        let function = fixture.get(&format!("/api/v1/functions/{asked}")).await.json();
        assert_eq!(function["name"], found);
    }
    assert_eq!(fixture.get("/api/v1/functions/none").await.problem(), "not-found");
}

#[tokio::test]
async fn jobs_are_filtered() {
    let worker = format!("worker={}", sample::LIVE);
    for (query, expected) in [
        ("", &[11, 12, 13, 3, 2, 1][..]),
        ("function=fib", &[11, 13, 3, 2]),
        ("function=fib@1", &[11, 13, 3]),
        ("failed=true", &[2]),
        ("state=ended", &[3, 2, 1]),
        ("state=under_way", &[11, 12, 13]),
        ("state=queued", &[11]),
        ("state=running", &[13]),
        (&worker, &[13, 3]),
        ("limit=1", &[11, 3]),
        ("state=ended&failed=false", &[3, 1]),
    ] {
        let mut fixture = fixture();
        let request = head(&format!("GET /api/v1/jobs?{query}"), &[]).body(Body::empty()).unwrap();
        let answer = if query.contains("ended") || query.contains("failed=true") {
            fixture.send(request).await
        } else {
            fixture.with_scheduler(request, list).await
        };
        assert_eq!(ids(&answer), expected, "{query}");
    }
}

fn list(request: Request) {
    let Request::List(most, answer) = request else { panic!("{request:?}") };
    assert_eq!(most, 1000);
    let jobs = vec![
        sample::under_way(11, "fib@1", Place::Queued),
        sample::under_way(12, "slow@1", Place::Placed),
        sample::under_way(13, "fib@1", Place::Running),
    ];
    answer.send(jobs).unwrap();
}

fn find(jobs: Vec<Job>) -> impl FnOnce(Request) {
    move |request| match request {
        Request::Find(id, answer) => {
            assert_eq!(id, JobId::from_u128(11));
            answer.send(jobs).unwrap();
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_job_is_found_or_not() {
    let path = format!("GET /api/v1/jobs/{}", JobId::from_u128(11));
    let request = || head(&path, &[]).body(Body::empty()).unwrap();
    let jobs = vec![sample::under_way(11, "fib@1", Place::Running)];
    let answer = fixture().with_scheduler(request(), find(jobs)).await;
    assert_eq!(answer.json()[0]["place"], "running");
    let answer = fixture().with_scheduler(request(), find(Vec::new())).await;
    assert_eq!(answer.problem(), "not-found");
    assert_eq!(fixture().get("/api/v1/jobs/x").await.problem(), "not-found");
}

fn action_request(path: &str) -> HttpRequest<Body> {
    let token = [("authorization", "Bearer abc")];
    head(&format!("POST /api/v1/{path}"), &token).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn with_the_token_a_worker_drains_and_resumes() {
    for (word, drained) in [("drain", true), ("resume", false)] {
        let mut fixture = on("127.0.0.1:8080", Some("abc"));
        let path = format!("workers/{}/{word}", sample::LIVE);
        let scheduler = |request| match request {
            Request::Drain(worker, drain, answer) => {
                assert_eq!((worker, drain), (sample::LIVE, drained));
                answer.send(Ok(())).unwrap();
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(fixture.with_scheduler(action_request(&path), scheduler).await.status, 204);
    }
}

#[tokio::test]
async fn with_the_token_a_job_is_cancelled_unless_it_has_ended() {
    let path = format!("jobs/{}/cancel", JobId::from_u128(11));
    let mut fixture = on("127.0.0.1:8080", Some("abc"));
    let ended = vec![Job::Ended(sample::ended(11, "fib@1", "value", None))];
    assert_eq!(fixture.with_scheduler(action_request(&path), find(ended)).await.problem(), "ended");
    assert_eq!(
        fixture.with_scheduler(action_request(&path), find(Vec::new())).await.problem(),
        "not-found"
    );
    let scheduler = async {
        let found = fixture.requests.recv().await.unwrap();
        find(vec![sample::under_way(11, "fib@1", Place::Running)])(found);
        let Some(Request::Cancel(key, answer)) = fixture.requests.recv().await else { panic!() };
        assert_eq!((key.id, key.user.as_str()), (JobId::from_u128(11), "guest"));
        answer.send(Ok(())).unwrap();
    };
    let (response, ()) =
        tokio::join!(fixture.app.clone().oneshot(action_request(&path)), scheduler);
    assert_eq!(response.unwrap().status(), 204);
}

#[tokio::test]
async fn events_follow_the_views_and_stop_with_the_server() {
    let fixture = fixture();
    let request = head("GET /api/v1/events", &[]).body(Body::empty()).unwrap();
    let response = fixture.app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    for sequence in [7, 8] {
        let event = String::from_utf8(events.next().await.unwrap().unwrap().to_vec()).unwrap();
        assert!(event.contains("event: status") && event.contains("retry: 2000"), "{event}");
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(data).unwrap()["sequence"], sequence);
        fixture.view.send_replace(Arc::new(View { sequence: sequence + 1, ..sample::view() }));
    }
    fixture.shutdown.cancel();
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn the_number_of_event_streams_is_limited() {
    let fixture = fixture();
    let both = ["GET /api/v1/events", "GET /page/events"];
    let request = |path| head(path, &[]).body(Body::empty()).unwrap();
    let mut followers = Vec::new();
    for path in both.into_iter().cycle().take(64) {
        followers.push(fixture.app.clone().oneshot(request(path)).await.unwrap());
        assert_eq!(followers.last().unwrap().status(), 200);
    }
    for path in both {
        // The body is not read: a stream's would not end.
        let answer = fixture.app.clone().oneshot(request(path)).await.unwrap();
        assert_eq!(answer.status(), 503, "{path}");
    }
    followers.pop();
    assert_eq!(fixture.app.clone().oneshot(request(both[1])).await.unwrap().status(), 200);
}

#[tokio::test]
async fn probes_tell_life_from_readiness() {
    let fixture = fixture();
    assert_eq!(fixture.get("/healthz").await.status, 200);
    assert_eq!(fixture.get("/readyz").await.json()["ready"], true);
    fixture.view.send_replace(Arc::default());
    assert_eq!(fixture.get("/healthz").await.status, 200);
    let not = fixture.get("/readyz").await;
    assert_eq!((not.status.as_u16(), not.json()["phase"].as_str()), (503, Some("down")));
}

#[tokio::test]
async fn every_documented_path_is_served_as_documented() {
    let fixture = on("127.0.0.1:8080", Some("abc"));
    let document = fixture.get("/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/api/v1/functions/{name}/call"), "{:?}", paths.keys());
    assert_eq!(paths.len(), 24);
    let schemas = &document["components"]["schemas"];
    let has = |schema: &str, field: &str| schemas[schema]["properties"][field].is_object();
    assert!(has("Problem", "status") && has("Diagnosis", "severity"), "{schemas}");
    let problems = &schemas["Status"]["properties"]["problems"]["items"]["$ref"];
    assert_eq!(problems, "#/components/schemas/Diagnosis");
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            // A path's other methods give 405; unknown paths give 404.
            let other = if method == "get" { Method::DELETE } else { Method::GET };
            let request = format!("{other} {}", path.replace(['{', '}'], ""));
            let answer = fixture.ask(&request, &[("authorization", "Bearer abc")]).await;
            assert_eq!(answer.problem(), "method-not-allowed", "{request}");
            let allow = answer.headers["allow"].to_str().unwrap().to_lowercase();
            assert!(allow.split(',').any(|allowed| allowed == method), "{path}: {allow}");
        }
    }
    let unresolved = document.to_string().matches("#/components/schemas/").count();
    assert!(unresolved > 0);
    for reference in document.to_string().split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}
