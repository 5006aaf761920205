//! Calls, from JSON to the scheduler and back.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::future::join_all;
use simple_dist_core::scheduler::Purity;
use simple_dist_protocol::message::{Answer as Ended, Answered, Bound, Crash};
use simple_dist_protocol::{Address, Attempt, CallDigest, Term, WorkerId, codec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::handle::{HttpAnswer, HttpCall, Refused};

const TEST: Duration = Duration::from_secs(30);

fn answered(answer: Ended) -> Answered {
    Answered {
        worker: Some(WorkerId::from_u128(1)),
        attempt: 2,
        waited_ms: 1500,
        took_us: 20,
        bound: matches!(answer, Ended::Busy).then_some(Bound::Jobs),
        answer,
        coalesced: false,
        memo_age_ms: None,
    }
}

/// An answer of a function that is not deterministic.
fn plain(answer: Ended) -> HttpAnswer {
    HttpAnswer { answered: Some(answered(answer)), purity: None }
}

/// Calls with this body, replies with `result`, and returns what the scheduler was asked.
async fn called(path: &str, body: &str, result: Result<Answered, Refused>) -> (HttpCall, Answer) {
    called_with(call(path, body.to_owned()), result).await
}

async fn called_with(
    request: HttpRequest<Body>,
    result: Result<Answered, Refused>,
) -> (HttpCall, Answer) {
    let result = result.map(|it| HttpAnswer { answered: Some(it), purity: None });
    answered_with(request, result).await
}

async fn answered_with(
    request: HttpRequest<Body>,
    result: Result<HttpAnswer, Refused>,
) -> (HttpCall, Answer) {
    let mut asked = None;
    let answer = fixture()
        .with_scheduler(request, |request| match request {
            Request::Call(call, answer) => {
                asked = Some(call);
                answer.send(result).expect("it waits");
            }
            other => panic!("{other:?}"),
        })
        .await;
    (asked.unwrap(), answer)
}

#[tokio::test]
async fn a_call_reaches_the_scheduler_and_its_value_comes_back() {
    let value = Ended::Value(codec::encode(&6765).unwrap().into());
    let (asked, answer) = called("fib@1/call", "[20]", Ok(answered(value))).await;
    assert_eq!(asked.function, "fib@1".parse().unwrap());
    assert_eq!(asked.args, codec::encode(&20).unwrap());
    assert_eq!((asked.timeout, asked.priority, asked.trace), (Duration::from_secs(60), 4, None));
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "6765"));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-simple-dist-job"], *asked.id.to_string());
    assert_eq!(answer.headers["x-simple-dist-worker"], *WorkerId::from_u128(1).to_string());
    assert_eq!(answer.headers["x-simple-dist-attempt"], "2");
    assert_eq!(answer.headers["x-simple-dist-waited"], "1.500");
}

#[tokio::test]
async fn call_options_reach_the_scheduler() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (trace, passed) in
        [(TRACE, true), ("00-4bf9-00f0-01", false), (&TRACE.to_uppercase(), false)]
    {
        let mut request = call("fib/call?timeout=0.5&priority=9", "[20]");
        request.headers_mut().insert("traceparent", trace.parse().unwrap());
        let (asked, _) = called_with(request, Err(Refused::Busy)).await;
        assert_eq!((asked.timeout, asked.priority), (Duration::from_millis(500), 9));
        assert_eq!(asked.trace.as_deref(), passed.then_some(trace));
    }
}

fn pure(ttl: Option<u64>) -> Purity {
    let function: Address = "fib@1".parse().unwrap();
    let call = CallDigest::of(&function, b"\x14");
    Purity { function, call, ttl: ttl.map(Duration::from_secs) }
}

#[tokio::test]
async fn a_pure_value_says_how_it_may_be_kept_and_nothing_else_does() {
    let value = || Ended::Value(codec::encode(&6765).unwrap().into());
    let kept = Answered { memo_age_ms: Some(20_500), ..answered(value()) };
    for (answered, purity, keep) in [
        (answered(value()), None, "no-store"),
        (answered(value()), Some(pure(None)), "no-cache"),
        (answered(value()), Some(pure(Some(60))), "max-age=60"),
        (kept, Some(pure(Some(60))), "max-age=39"),
        (answered(Ended::panicked("no")), Some(pure(Some(60))), "no-store"),
    ] {
        let has_tag = keep != "no-store";
        let answer = HttpAnswer { answered: Some(answered), purity };
        let (_, answer) = answered_with(call("fib/call", "[20]"), Ok(answer)).await;
        assert_eq!(answer.headers["cache-control"], keep);
        assert_eq!(answer.headers.contains_key("etag"), has_tag);
        assert_eq!(answer.headers.contains_key("x-simple-dist-age"), keep == "max-age=39");
    }
}

#[tokio::test]
async fn a_caller_names_the_values_it_has_or_wants_a_fresh_one() {
    let known = HttpAnswer { answered: None, purity: Some(pure(Some(60))) };
    let (_, first) = answered_with(call("fib/call", "[20]"), Ok(known.clone())).await;
    assert_eq!((first.status.as_u16(), first.text().as_str()), (304, ""));
    assert_eq!(first.headers["cache-control"], "max-age=60");
    let tag = first.headers["etag"].to_str().unwrap();
    let mut again = call("fib/call", "[20]");
    again.headers_mut().insert("if-none-match", format!("\"other\", {tag}").parse().unwrap());
    again.headers_mut().insert("cache-control", "max-age=1, No-Cache".parse().unwrap());
    let (asked, _) = answered_with(again, Ok(known)).await;
    assert_eq!(asked.known, ["other", &pure(None).call.to_string()[..32]]);
    assert!(asked.fresh);
}

fn failed(error: Vec<u8>) -> Ended {
    Ended::Failed { message: "<b>".to_owned(), error: error.into() }
}

#[tokio::test]
async fn a_function_error_has_its_text_and_its_json_if_small() {
    let large = codec::encode(&"x".repeat(70_000)).unwrap();
    for (error, told) in [
        (codec::encode(&("line", 3)).unwrap(), Some(serde_json::json!(["line", 3]))),
        (vec![0xc1], None),
        (large, None),
    ] {
        let (_, answer) = called("fib/call", "[]", Ok(answered(failed(error)))).await;
        let problem = answer.json();
        assert_eq!(problem["detail"], "<b>");
        assert_eq!(problem.get("error"), told.as_ref());
    }
}

#[tokio::test]
async fn every_end_of_a_job_has_its_status() {
    let message = || "<b>".to_owned();
    let workers = vec![WorkerId::from_u128(3)];
    for (path, end, status, kind) in [
        ("fib/call", failed(codec::encode(&7).unwrap()), 422, "failed"),
        ("fib/call", Ended::panicked(message()), 422, "panicked"),
        ("fib/call", Ended::unsendable(message()), 502, "bad-value"),
        ("fib/call", Ended::Poisoned { workers, crashes: vec![] }, 500, "poisoned"),
        ("fib/call", Ended::BadArguments { message: message() }, 400, "bad-arguments"),
        ("fib/call", Ended::TooLarge { bytes: 9, limit: 8 }, 413, "too-large"),
        ("fib/call", Ended::Busy, 503, "busy"),
        ("fib/call", Ended::Cancelled, 409, "cancelled"),
        ("fib/call", Ended::Expired, 504, "expired"),
        ("fib/call", Ended::Value(vec![0xc1].into()), 502, "bad-value"),
        // Served by a lost worker; never served; another version.
        ("gone/call", Ended::NotServed, 503, "not-served"),
        ("never/call", Ended::NotServed, 404, "not-found"),
        ("fib@3/call", Ended::NotServed, 404, "not-found"),
    ] {
        let (asked, answer) = called(path, "[]", Ok(answered(end))).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, kind));
        assert_eq!(answer.json()["job"], asked.id.to_string(), "{kind}");
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503, "{kind}");
    }
    let (_, answer) = called("fib/call", "[]", Err(Refused::NotActive)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "not-active"));
}

#[tokio::test]
async fn a_poisoned_job_names_its_workers() {
    let workers = vec![WorkerId::from_u128(3)];
    let (_, answer) =
        called("fib/call", "[]", Ok(answered(Ended::Poisoned { workers, crashes: vec![] }))).await;
    assert_eq!(answer.json()["workers"][0], WorkerId::from_u128(3).to_string());
}

#[tokio::test]
async fn a_poisoned_job_comes_with_its_crash_reports() {
    let crash = |signal, code| Crash {
        worker: WorkerId::from_u128(3),
        attempt: Attempt { term: Term(1), number: 1 },
        signal,
        code,
        memory_bytes: 4096,
        output: "stack overflow\u{1b}[2J".into(),
        note: None,
    };
    let crashes = vec![crash(None, Some(1)), crash(Some(9), None), crash(Some(11), None)];
    let poisoned = Ended::Poisoned { workers: vec![], crashes };
    let (_, answer) = called("fib/call", "[]", Ok(answered(poisoned))).await;
    let said = answer.json();
    let endings: Vec<_> = (0..3).map(|nth| said["crashes"][nth]["ending"].clone()).collect();
    assert_eq!(endings, ["exited with code 1", "killed by SIGKILL", "killed by SIGSEGV"]);
    assert_eq!(said["crashes"][2]["output"], "stack overflow\u{1b}[2J");
    assert_eq!(said["crashes"][2]["memory_bytes"], 4096);
    let detail = "it is not run again: the process that ran it was killed by SIGSEGV";
    assert_eq!(said["detail"], detail);
}

#[tokio::test]
async fn json_round_trips_exactly() {
    for text in [
        "18446744073709551615",
        "-9223372036854775808",
        "9007199254740993",
        "0.1",
        "31.245270191439438",
        "5e-324",
        "1.7976931348623157e308",
        "-0.0",
        "null",
        r#""\u0000<\"é""#,
        r#"{"$bytes":"AP8="}"#,
        r#"{"a":[1,"two",{"$bytes":""},{}],"b":null}"#,
        r#"{"$bytes":"AP8=","more":1}"#,
        "[[],[[1]]]",
    ] {
        let (asked, _) = called("echo/call", &format!("[{text}]"), Err(Refused::Busy)).await;
        let value = Ended::Value(asked.args);
        let (_, answer) = called("echo/call", "[]", Ok(answered(value))).await;
        let sent: Value = serde_json::from_str(text).unwrap();
        assert_eq!(answer.json(), sent, "{text}");
        if sent.is_number() {
            let digits = |text: &str| text.replace("e+", "e");
            assert_eq!(digits(&answer.text()), text);
        }
    }
}

#[tokio::test]
async fn control_characters_are_escaped() {
    let evil = "\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{feff}\0\r";
    let panicked = Ended::panicked(evil.to_owned());
    let value = Ended::Value(codec::encode(evil).unwrap().into());
    for (ended, told) in [(panicked, "detail"), (value, "")] {
        let (_, answer) = called("f/call", "[]", Ok(answered(ended))).await;
        let text = answer.text();
        assert!(text.chars().all(simple_dist_protocol::text::is_plain), "{text}");
        let json = answer.json();
        assert_eq!(if told.is_empty() { &json } else { &json[told] }, evil);
    }
}

#[tokio::test]
async fn arguments_may_be_none_one_or_several() {
    for (body, args) in [
        ("[]", codec::encode(&()).unwrap()),
        ("[20]", codec::encode(&20).unwrap()),
        ("[1,0]", codec::encode(&(1, 0)).unwrap()),
        ("[[1,2]]", codec::encode(&[1, 2]).unwrap()),
    ] {
        let (asked, _) = called("f/call", body, Err(Refused::Busy)).await;
        assert_eq!(asked.args, args, "{body}");
    }
}

#[tokio::test]
async fn an_invalid_call_does_not_reach_the_scheduler() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let large = format!("[\"{}\"]", "x".repeat(9 * 1024 * 1024));
    let larger = format!("[\"{}\"]", "x".repeat(13 * 1024 * 1024));
    let tree = format!("[[{}0]]", "{\"a\":1},".repeat(1_000_000));
    for (path, body, status, kind) in [
        ("fib/call", "20", 400, "bad-request"),
        ("fib/call", "{}", 400, "bad-request"),
        ("fib/call", "[20", 400, "bad-request"),
        ("fib/call", "", 400, "bad-request"),
        ("fib/call", r#"[{"$bytes":"?"}]"#, 400, "bad-request"),
        ("fib/call", &deep, 400, "bad-request"),
        ("fib/call", &large, 413, "too-large"),
        ("fib/call", &larger, 413, "too-large"),
        ("fib/call", &tree, 413, "too-large"),
        ("fib/call?timeout=0", "[]", 400, "bad-request"),
        ("fib/call?timeout=3601", "[]", 400, "bad-request"),
        ("fib/call?timeout=NaN", "[]", 400, "bad-request"),
        ("fib/call?timeout=soon", "[]", 400, "bad-request"),
        ("fib/call?priority=10", "[]", 400, "bad-request"),
        ("Fib/call", "[]", 404, "not-found"),
        ("fib@/call", "[]", 404, "not-found"),
        ("%3Cscript%3E/call", "[]", 404, "not-found"),
        ("%FF/call", "[]", 404, "not-found"),
    ] {
        let mut fixture = fixture();
        let answer = fixture.send(call(path, body.to_owned())).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, kind), "{path}");
        assert!(fixture.requests.try_recv().is_err());
    }
    let plain = head("POST /api/v1/functions/fib/call", &[]).body("[20]".into()).unwrap();
    let answer = fixture().send(plain).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (415, "not-json"));
}

#[tokio::test]
async fn invalid_base64_is_explained_in_one_sentence() {
    let answer = fixture().send(call("fib/call", r#"[1,{"$bytes":"A?=="}]"#)).await;
    let said =
        r#"argument 2 has {"$bytes":"A?=="}, which is not base64: character 2 is none of it"#;
    assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (400, &said.into()));
}

#[tokio::test]
async fn arguments_that_wait_are_bounded() {
    const MIB: usize = 1024 * 1024;
    let limits = memory::Limits { arguments: 8 * MIB, ..memory::Limits::default() };
    let Fixture { app, mut requests, .. } = within(limits, "127.0.0.1:8080", None);
    let peer = peers::Peers::default().connected([127, 0, 0, 1].into());
    let large = |mib| {
        let mut request = call("echo/call", format!("[\"{}\"]", "x".repeat(mib * MIB)));
        request.extensions_mut().insert(peer.clone());
        request
    };
    let first = app.clone().oneshot(large(3));
    let second = async {
        let Some(Request::Call(_, answer)) = requests.recv().await else { panic!("no call") };
        let refused = app.clone().oneshot(large(3)).await.unwrap();
        let small = app.clone().oneshot(call("echo/call", "[20]"));
        let ledger = async {
            let Some(Request::Call(_, answer)) = requests.recv().await else { panic!("no call") };
            answer.send(Err(Refused::Unknown)).expect("it waits");
        };
        let (small, ()) = tokio::join!(small, ledger);
        answer.send(Err(Refused::Unknown)).expect("it waits");
        (refused, small.unwrap().status())
    };
    let (first, (refused, small)) = tokio::join!(first, second);
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    assert_eq!((first.unwrap().status().as_u16(), small.as_u16()), (404, 404));
}

/// A caller that has read the first line of its response and reads no more.
async fn first_line(at: SocketAddr) -> (TcpStream, String) {
    first_line_from([127, 0, 0, 1], at).await
}

async fn first_line_from(from: [u8; 4], at: SocketAddr) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut caller = socket.connect(at).await.unwrap();
    let head = format!("POST /api/v1/functions/big/call HTTP/1.1\r\nhost: {at}\r\n");
    let body = "content-type: application/json\r\ncontent-length: 2\r\n\r\n[]";
    caller.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut line = [0; 12];
    timeout(TEST, caller.read_exact(&mut line)).await.expect("an answer").unwrap();
    (caller, String::from_utf8(line.to_vec()).unwrap())
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test waits for what it spawns")]
async fn answers_that_nobody_takes_are_bounded_and_given_up() {
    const MIB: usize = 1024 * 1024;
    let limits = memory::Limits { answers: 16 * MIB, ..memory::Limits::default() };
    let Fixture { app, mut requests, shutdown, .. } = within(limits, "127.0.0.1:8080", None);
    let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = listener.local_addr().unwrap();
    // Longer than it takes to answer all of them.
    let limits = server::Limits { write: Duration::from_secs(4), ..server::Limits::default() };
    let server = tokio::spawn(server::accept(listener, app, limits, shutdown.clone()));
    let value = Bytes::from(codec::encode(&"x".repeat(4 * MIB)).unwrap());
    let scheduler = tokio::spawn(async move {
        while let Some(Request::Call(_, answer)) = requests.recv().await {
            let _gone = answer.send(Ok(plain(Ended::Value(value.clone()))));
        }
    });
    let callers = join_all((0..20).map(|_| first_line(at))).await;
    let taken = callers.iter().filter(|(_, line)| line == "HTTP/1.1 200").count();
    let refused = callers.iter().filter(|(_, line)| line == "HTTP/1.1 503").count();
    // One address gets half of it; a caller at another still gets memory.
    assert!(taken == 1 && taken + refused == 20, "{taken} and {refused}");
    assert_eq!(first_line_from([127, 0, 0, 2], at).await.1, "HTTP/1.1 200");
    // Once the callers that do not read are cut off, there is memory again.
    while first_line(at).await.1 != "HTTP/1.1 200" {}
    drop(callers);
    shutdown.cancel();
    timeout(TEST, server).await.expect("it stops").unwrap();
    scheduler.abort();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test waits for what it spawns")]
async fn a_caller_that_disconnects_cancels_its_job() {
    let Fixture { app, mut requests, shutdown, .. } = fixture();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let limits = server::Limits::default();
    let server = tokio::spawn(server::accept(listener, app, limits, shutdown.clone()));
    let mut caller = TcpStream::connect(at).await.unwrap();
    let head = format!("POST /api/v1/functions/fib/call HTTP/1.1\r\nhost: {at}\r\n");
    let body = "content-type: application/json\r\ncontent-length: 4\r\n\r\n[20]";
    caller.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let asked = timeout(TEST, requests.recv()).await.unwrap();
    let Some(Request::Call(call, _answer)) = asked else { panic!("{asked:?}") };
    drop(caller);
    let then = timeout(TEST, requests.recv()).await.expect("it is told");
    assert!(matches!(then, Some(Request::CallerGone(id)) if id == call.id), "{then:?}");

    let mut patient = TcpStream::connect(at).await.unwrap();
    patient.write_all(format!("{head}connection: close\r\n{body}").as_bytes()).await.unwrap();
    let asked = timeout(TEST, requests.recv()).await.unwrap();
    let Some(Request::Call(_, answer)) = asked else { panic!("{asked:?}") };
    let value = Ended::Value(codec::encode(&6765).unwrap().into());
    answer.send(Ok(plain(value))).expect("it waits");
    let mut text = String::new();
    patient.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("6765"), "{text}");
    assert!(requests.try_recv().is_err(), "what was answered is not given up");
    shutdown.cancel();
    timeout(TEST, server).await.expect("it stops").unwrap();
}
