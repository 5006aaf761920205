//! The router, asked as a browser asks it; and a server of sample views to look at.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::http::Request as HttpRequest;
use futures_util::StreamExt;
use simple_dist_protocol::message::{Answer, Answered};
use simple_dist_protocol::{WorkerId, text as text_of};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use super::*;
use crate::handle::{HttpAnswer, Refused, Request};
use crate::view::{self, Job, sample};

/// The actions that reached the scheduler.
#[derive(Debug, PartialEq)]
enum Asked {
    Drain(WorkerId, bool),
    Cancel(JobId),
    CancelSome(view::JobFilter, usize),
    Call(JobId),
}

/// A page over one view, whose scheduler knows the sample's jobs.
struct Fixture {
    views: watch::Sender<Arc<View>>,
    asked: mpsc::Receiver<Asked>,
    shutdown: CancellationToken,
    router: Router,
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the task ends with the handle, and the test's runtime owns it"
)]
fn fixture(mut view: View, actions: bool) -> Fixture {
    view::Looks::default().assign(&mut view.functions);
    view.problems = view::diagnose(&view);
    let (views, view) = watch::channel(Arc::new(view));
    let writes = views.clone();
    let (handle, mut requests) = Handle::open(view.clone());
    let (say, asked) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let jobs = sample::jobs(&view.borrow());
            let id_of = |job: &Job| match job {
                Job::UnderWay(job) => job.id,
                Job::Ended(job) => job.id,
            };
            match request {
                Request::Drain(worker, drain, answer) => {
                    let known = view.borrow().workers.iter().any(|one| one.id == worker);
                    let _gone = answer.send(if known { Ok(()) } else { Err(Refused::Unknown) });
                    say.try_send(Asked::Drain(worker, drain)).unwrap();
                }
                Request::Cancel(key, answer) => {
                    let _gone = answer.send(Ok(()));
                    say.try_send(Asked::Cancel(key.id)).unwrap();
                }
                Request::Find(id, answer) => {
                    let found = jobs.into_iter().filter(|job| id_of(job) == id).collect();
                    let _gone = answer.send(found);
                }
                Request::List(most, answer) => {
                    let _gone = answer.send(jobs.into_iter().take(most).collect());
                }
                Request::Failed(id, answer) => {
                    // The arguments of what ran out of time are gone.
                    let failed = jobs.iter().filter_map(|job| match job {
                        Job::Ended(job) if job.id == id && job.is_failed() => Some(failed(job)),
                        Job::Ended(_) | Job::UnderWay(_) => None,
                    });
                    let _gone = answer.send(failed.collect());
                }
                Request::Differing(_, answer) => _ = answer.send(None),
                Request::Affected(filter, answer) => {
                    let all = affected().into_iter();
                    let _gone =
                        answer.send(all.filter(|of| filter.has_function(&of.function)).collect());
                }
                Request::CancelSome(filter, most, answer) => {
                    let _gone = answer.send(Ok(most));
                    say.try_send(Asked::CancelSome(filter, most)).unwrap();
                }
                Request::Call(call, answer) => {
                    say.try_send(Asked::Call(call.id)).unwrap();
                    let _gone =
                        answer.send(Ok(HttpAnswer { answered: Some(panicked()), purity: None }));
                }
                Request::Acted(action, answer) => {
                    writes.send_modify(|view| Arc::make_mut(view).actions.insert(0, action));
                    let _gone = answer.send(());
                }
                Request::History(asked, answer) => {
                    let _gone = answer.send(
                        crate::history::sample::week(now_ms() / 1000).range(asked, now_ms() / 1000),
                    );
                }
                Request::CallerGone(_) => {}
            }
        }
    });
    let shutdown = CancellationToken::new();
    let router =
        router(handle, Options { actions, base: Default::default(), shutdown: shutdown.clone() });
    Fixture { views, asked, shutdown, router }
}

fn failed(job: &view::RecentJob) -> view::FailedCall {
    let (user, function) = (job.user.clone(), Arc::clone(&job.function));
    view::FailedCall { user, function, args: Default::default() }
}

fn affected() -> Vec<view::Affected> {
    let of = |function: &str, queued, running| view::Affected {
        function: function.into(),
        queued,
        running,
    };
    vec![of("fib@1", 1200, 34), of("primes@1", 5, 0)]
}

fn panicked() -> Answered {
    Answered {
        answer: Answer::panicked("width is <0>"),
        worker: None,
        attempt: 1,
        waited_ms: 1,
        took_us: 2,
        bound: None,
        coalesced: false,
        memo_age_ms: None,
    }
}

impl Fixture {
    async fn ask(&self, method: &str, path: &str, may_act: bool) -> Response {
        let request = HttpRequest::builder().method(method).uri(path);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Visitor { may_act });
        self.router.clone().oneshot(request).await.unwrap()
    }

    #[track_caller]
    fn get(&self, path: &str) -> impl Future<Output = String> {
        let answer = self.router.clone();
        let request = HttpRequest::builder().uri(path).body(Body::empty()).unwrap();
        async move {
            let answer = answer.oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            text(answer).await
        }
    }
}

async fn text(answer: Response) -> String {
    let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn job_of(view: &View) -> JobId {
    view.workers[1].held[1].id
}

#[tokio::test]
async fn every_page_names_its_distributor_and_time() {
    let view = sample::lost(now_ms());
    let (worker, job) = (view.workers[0].id, job_of(&view));
    let fixture = fixture(view, false);
    for path in ["/", "/functions", "/workers", "/jobs"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("/workers/{worker}"), format!("/jobs/{job}")])
        .chain(["/functions/fib@1".to_owned()])
    {
        let page = fixture.get(&path).await;
        assert!(page.contains("d-4be19a77") && page.contains("as of "), "{path}");
        assert!(page.contains("accepted 3,8") && page.contains("</html>"), "{path}");
        assert!(page.contains("lost 34 s ago"), "{path}");
    }
}

#[tokio::test]
async fn hostile_text_stays_text_on_every_page() {
    let view = sample::hostile(now_ms());
    let (worker, job) = (view.workers[0].id, view.recent[0].id);
    let under_way = job_of(&view);
    let function = view.functions[0].name.bytes().map(|byte| format!("%{byte:02x}"));
    let function: String = function.collect();
    let fixture = fixture(view, true);
    for path in ["/", "/?q=%22%3E%3Cscript%3E", "/functions", "/workers", "/jobs", "/page/jobs"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("/workers/{worker}"), format!("/jobs/{job}")])
        .chain([format!("/jobs/{under_way}"), format!("/functions/{function}")])
    {
        let page = fixture.get(&path).await;
        let ours = page.matches("<script src=\"/assets/page.js\" defer></script>").count();
        assert_eq!(page.matches("<script").count(), ours, "{path}");
        assert!(!page.contains("<img") && !page.contains("<b>panicked"), "{path}");
        assert!(page.contains("&#60;script"), "{path}");
        assert!(!page.contains(" style=") && !page.contains("<style"), "{path}");
        let odd = page.chars().find(|c| *c != '\n' && !text_of::is_plain(*c));
        assert_eq!(odd, None, "{path}");
        assert!(!page.contains("xxxxxxxxxx".repeat(10).as_str()), "{path}");
    }
}

#[tokio::test]
async fn the_filter_works_without_a_script() {
    let fixture = fixture(sample::busy(now_ms()), false);
    let failed = fixture.get("/jobs?failed=on&q=WIDTH").await;
    assert!(failed.contains("panicked: width is 0"));
    assert!(!failed.contains("ran out of time"));
    assert!(failed.contains("value=\"WIDTH\"") && failed.contains("checked"));
    let none = fixture.get("/?q=no-such-thing").await;
    assert!(none.contains("No recent job matches."));
}

#[tokio::test]
async fn buttons_are_shown_only_to_visitors_who_may_act() {
    let view = sample::busy(now_ms());
    let (worker, job) = (view.workers[0].id, job_of(&view));
    let fixture = fixture(view, true);
    for path in ["/".to_owned(), format!("/workers/{worker}"), format!("/jobs/{job}")] {
        let without = text(fixture.ask("GET", &path, false).await).await;
        assert!(!without.contains("method=\"post\"") && without.contains("href=\"/login\""));
        let with = text(fixture.ask("GET", &path, true).await).await;
        assert!(with.contains("method=\"post\"") && !with.contains("href=\"/login\""), "{path}");
        assert!(with.contains("action=\"/logout\""), "{path}");
    }
}

#[tokio::test]
async fn a_drain_reaches_the_scheduler_with_the_token_and_not_without() {
    let view = sample::busy(now_ms());
    let worker = view.workers[0].id;
    let mut fixture = fixture(view, true);
    let path = format!("/workers/{worker}/drain?from=now");
    let refused = fixture.ask("POST", &path, false).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let done = fixture.ask("POST", &path, true).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert_eq!(done.headers()[header::LOCATION], "/#workers");
    assert_eq!(fixture.asked.recv().await, Some(Asked::Drain(worker, true)));
    assert!(fixture.asked.try_recv().is_err());
    let resumed = fixture.ask("POST", &format!("/workers/{worker}/resume"), true).await;
    assert_eq!(resumed.headers()[header::LOCATION], format!("/workers/{worker}"));
    assert_eq!(fixture.asked.recv().await, Some(Asked::Drain(worker, false)));
    let unknown = fixture.ask("POST", "/workers/w-11/drain", true).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_cancelled_job_is_that_of_the_named_user() {
    let view = sample::busy(now_ms());
    let job = job_of(&view);
    let mut fixture = fixture(view, true);
    let other = fixture.ask("POST", &format!("/jobs/{job}/cancel?user=mallory"), true).await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    let done = fixture.ask("POST", &format!("/jobs/{job}/cancel?user=guest"), true).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert_eq!(fixture.asked.recv().await, Some(Asked::Cancel(job)));
}

#[tokio::test]
async fn a_failed_job_is_run_again_by_those_who_may_and_its_answer_shown() {
    let view = sample::failing(now_ms());
    let find = |wanted: fn(&view::RecentJob) -> bool| {
        view.recent.iter().find(|job| wanted(job)).expect("one of the sample").id
    };
    let failed = find(view::RecentJob::is_failed);
    let gone = find(|job| job.answer == "expired");
    let done = find(|job| job.answer == "value");
    let mut fixture = fixture(view.clone(), true);
    let button = format!("action=\"/jobs/{failed}/retry\"");
    let shows = async |fixture: &Fixture, may_act| {
        let page = fixture.ask("GET", &format!("/jobs/{failed}"), may_act).await;
        text(page).await.contains(&button)
    };
    assert_eq!([shows(&fixture, false).await, shows(&fixture, true).await], [false, true]);
    for path in ["/", "/functions"] {
        let page = |may_act| fixture.ask("GET", path, may_act);
        let [with, without] = [page(true).await, page(false).await];
        assert!(text(with).await.contains("/retry\"") && !text(without).await.contains("/retry\""));
    }
    let path = format!("/jobs/{failed}/retry");
    assert_eq!(fixture.ask("POST", &path, false).await.status(), StatusCode::FORBIDDEN);
    assert!(fixture.asked.try_recv().is_err());
    let sent = fixture.ask("POST", &path, true).await;
    let own = sent.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let shown = async |fixture: &Fixture| text(fixture.ask("GET", &own, true).await).await;
    let begun = shown(&fixture).await;
    assert!(begun.contains("run again: <span class=\"dim\">sent</span>"), "{begun}");
    let Some(Asked::Call(new)) = fixture.asked.recv().await else { panic!("it is called") };
    assert_eq!(own, format!("/jobs/{new}/retried"));
    let mut answer = shown(&fixture).await;
    while answer.contains(">sent<") {
        tokio::task::yield_now().await;
        answer = shown(&fixture).await;
    }
    assert!(answer.contains("width is &#60;0&#62;") && answer.contains(&format!("/jobs/{new}")));
    // The value may be confidential, and what is not kept any more has its job's page.
    for (path, may_act) in [(&own, false), (&format!("/jobs/{failed}/retried"), true)] {
        let elsewhere = fixture.ask("GET", path, may_act).await;
        assert_eq!(elsewhere.status(), StatusCode::SEE_OTHER, "{path}");
    }
    let audit = fixture.get("/actions").await;
    assert!(audit.contains(&format!("retried job {failed} of")), "{audit}");
    let fine = fixture.ask("POST", &format!("/jobs/{done}/retry"), true).await;
    assert_eq!(fine.status(), StatusCode::CONFLICT);
    let gone = fixture.ask("POST", &format!("/jobs/{gone}/retry"), true).await;
    assert_eq!(gone.status(), StatusCode::GONE);
    assert!(text(gone).await.contains("Its arguments are gone"));
}

#[tokio::test]
async fn what_is_cancelled_or_drained_at_once_is_counted_first() {
    let view = sample::busy(now_ms());
    let live = view.workers.iter().filter(|worker| worker.state == view::WorkerState::Live);
    let workers = live.count();
    let mut fixture = fixture(view, true);
    let wrong = fixture.get("/jobs/cancel?function=a+b").await;
    assert!(wrong.contains("is no function") && !wrong.contains("method=\"post\""));
    let path = "/jobs/cancel?function=fib&queued=on";
    let asked = text(fixture.ask("GET", path, true).await).await;
    assert!(
        asked.contains("This would cancel 1,234 jobs") && asked.contains("<td class=\"n\">34</td>")
    );
    assert!(asked.contains("action=\"/jobs/cancel?function=fib&#38;queued=on\""), "{asked}");
    assert!(!fixture.get(path).await.contains("method=\"post\""));
    assert_eq!(fixture.ask("POST", path, false).await.status(), StatusCode::FORBIDDEN);
    let nothing = fixture.ask("POST", "/jobs/cancel", true).await;
    assert_eq!(nothing.headers()[header::LOCATION], "/jobs/cancel");
    assert!(fixture.asked.try_recv().is_err(), "nothing was done yet");
    let done = fixture.ask("POST", path, true).await;
    assert_eq!(done.headers()[header::LOCATION], "/actions");
    let filter = view::JobFilter {
        function: "fib".parse().ok(),
        queued: true,
        ..view::JobFilter::default()
    };
    for most in [1000, 234] {
        assert_eq!(fixture.asked.recv().await, Some(Asked::CancelSome(filter.clone(), most)));
    }
    let audit = fixture.get("/actions").await;
    assert!(audit.contains("cancelled 1,234 jobs: fib@1 (1200 queued, 34 running)"), "{audit}");

    let asked = text(fixture.ask("GET", "/workers/drain?q=", true).await).await;
    assert!(asked.contains("No other worker takes jobs."), "{asked}");
    let done = fixture.ask("POST", "/workers/drain?q=", true).await;
    assert_eq!(done.headers()[header::LOCATION], "/actions");
    for _ in 0..workers {
        assert!(matches!(fixture.asked.recv().await, Some(Asked::Drain(_, true))));
    }
    assert!(fixture.get("/").await.contains(&format!("an operator drained {workers} workers")));
}

#[tokio::test]
async fn what_was_slow_is_in_the_history_and_each_moment_leads_closer() {
    let fixture = fixture(sample::idle(now_ms()), false);
    for (span, closer) in
        [("10m", None), ("hour", Some("10m")), ("day", Some("hour")), ("week", Some("day"))]
    {
        let page = fixture.get(&format!("/history?span={span}")).await;
        assert!(page.len() < 100_000, "{span}: {}", page.len());
        assert!(page.contains("href=\"/functions/primes%401\""), "{span}");
        let links = page.matches("<a href=\"/history?span=").count();
        assert_eq!(closer.is_some(), links > 100, "{span}: {links}");
        if let Some(closer) = closer {
            assert!(page.contains(&format!("<a href=\"/history?span={closer}&#38;to=")), "{page}");
        }
    }
    let day = fixture.get("/history").await;
    assert!(day.contains("class=\"gap\"") && day.contains("class=\"term\""));
    assert!(day.contains("wait p95 9.0 s, run p95 30 s") && day.contains("failed</span>"));
    let before = fixture.get("/history?span=week&to=1000000").await;
    assert!(before.contains("Nothing is known of it.") && before.contains("No minute of it"));
    let bad = fixture.ask("GET", "/history?span=year", false).await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn without_a_token_there_are_no_actions() {
    let view = sample::busy(now_ms());
    let worker = view.workers[0].id;
    let fixture = fixture(view, false);
    let answer = fixture.ask("POST", &format!("/workers/{worker}/drain"), true).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(!text(fixture.ask("GET", "/", true).await).await.contains("method=\"post\""));
}

#[tokio::test]
async fn an_unknown_page_is_a_problem_page() {
    let fixture = fixture(sample::busy(now_ms()), false);
    for path in [
        "/functions/gone@1",
        "/jobs/x",
        "/jobs/0193c1a2700000000000000000000000",
        "/workers/nobody",
    ] {
        let answer = fixture.ask("GET", path, false).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(text(answer).await.contains("Back to the status page"));
    }
}

#[tokio::test]
async fn an_asset_that_the_browser_has_is_not_sent_again() {
    let fixture = fixture(sample::idle(now_ms()), false);
    let first = fixture.ask("GET", "/assets/page.css", false).await;
    let tag = first.headers()[header::ETAG].clone();
    let request = HttpRequest::builder().uri("/assets/page.css").header(header::IF_NONE_MATCH, tag);
    let again = fixture.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(fixture.ask("GET", "/assets/passwd", false).await.status(), StatusCode::NOT_FOUND);
}

/// The next event of a stream, keep-alives apart.
async fn event(stream: &mut axum::body::BodyDataStream) -> Option<String> {
    loop {
        let bytes = stream.next().await?.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        if !text.starts_with(':') {
            return Some(text);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_gets_what_changed_and_nothing_else() {
    let at = now_ms();
    let fixture = fixture(sample::idle(at), false);
    let answer = fixture.ask("GET", "/page/events?of=status,sentence,workers", false).await;
    let mut events = answer.into_body().into_data_stream();
    let first = event(&mut events).await.unwrap();
    assert!(first.starts_with("event: view\n"));
    for part in ["id=\"status\"", "id=\"sentence\"", "id=\"workers\""] {
        assert!(first.contains(part), "{part}");
    }
    assert!(!first.contains("id=\"stream\""));
    // Later, but otherwise equal: only the time changed.
    fixture.views.send_replace(Arc::new(sample::idle(at + 1000)));
    let second = event(&mut events).await.unwrap();
    assert!(second.contains("id=\"status\"") && !second.contains("id=\"workers\""));
    fixture.views.send_replace(Arc::new(sample::lost(at + 2000)));
    let third = event(&mut events).await.unwrap();
    assert!(third.contains("id=\"workers\"") && third.contains("last heard 34 s ago"));
}

#[tokio::test(start_paused = true)]
async fn hostile_text_cannot_forge_an_event() {
    let fixture = fixture(sample::hostile(now_ms()), true);
    let answer = fixture.ask("GET", "/page/events", true).await;
    let event = event(&mut answer.into_body().into_data_stream()).await.unwrap();
    let lines: Vec<&str> = event.split(['\n', '\r']).filter(|line| !line.is_empty()).collect();
    assert!(lines.iter().skip(1).all(|line| line.starts_with("data:")));
    assert!(!event.contains("<script") && !event.contains("<img"));
}

#[tokio::test(start_paused = true)]
async fn streams_end_with_the_distributor() {
    let fixture = fixture(sample::idle(now_ms()), false);
    let answer = fixture.ask("GET", "/page/events", false).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut stream = answer.into_body().into_data_stream();
    assert!(event(&mut stream).await.is_some());
    fixture.shutdown.cancel();
    while event(&mut stream).await.is_some() {}
}

#[tokio::test]
async fn the_parts_of_the_largest_service_stay_small() {
    let fixture = fixture(sample::large(now_ms()), false);
    let page = fixture.get("/").await;
    assert!(page.matches("<rect").count() <= 1000);
    assert!(page.len() < 300_000, "{}", page.len());
}

/// The security headers that the middleware sets.
async fn guarded(mut answer: Response) -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                  connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.parse().unwrap());
    answer
}

/// Serves the sample views to look at, each on its own port from 8090 on, and prints the URLs. The
/// samples change with time.
#[tokio::test]
#[ignore = "serves the samples until it is stopped"]
#[expect(clippy::print_stderr, reason = "it prints the URLs")]
async fn serve_samples() {
    type Sample = (&'static str, fn(u64) -> View);
    let samples: [Sample; 13] = [
        ("empty", sample::empty),
        ("idle", sample::idle),
        ("busy", sample::busy),
        ("lost", sample::lost),
        ("unserved", sample::unserved),
        ("down", sample::down),
        ("standby", sample::standby),
        ("hostile", sample::hostile),
        ("large", sample::large),
        ("failing", sample::failing),
        ("many functions", sample::many),
        ("a thousand workers", sample::thousand),
        ("busy, logged in", sample::busy),
    ];
    let mut all = tokio::task::JoinSet::new();
    for (place, (name, sample)) in samples.into_iter().enumerate() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 8090 + place as u16));
        let listener = listener.await.unwrap();
        eprintln!("http://{} {name}", listener.local_addr().unwrap());
        let fixture = fixture(sample(now_ms()), true);
        let may_act = name.ends_with("logged in");
        let router = fixture.router.clone().layer(Extension(Visitor { may_act }));
        let router = router.layer(axum::middleware::map_response(guarded));
        all.spawn(async move { axum::serve(listener, router).await });
        all.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(250));
            loop {
                ticks.tick().await;
                let mut view = sample(now_ms());
                view::Looks::default().assign(&mut view.functions);
                view.problems = view::diagnose(&view);
                fixture.views.send_replace(Arc::new(view));
            }
        });
    }
    all.join_next().await;
}

#[tokio::test]
async fn how_far_a_job_is_is_a_bar_with_words() {
    let mut view = sample::busy(now_ms());
    let worker = &mut view.workers[1];
    let (held, worker) = (&mut worker.held[1], worker.id);
    let text = "row <40> of\n100".to_owned();
    held.progress = Some(view::Progress { fraction: 0.4, text });
    let job = held.id;
    let fixture = fixture(view, false);
    let says = "40 %: row &#60;40&#62; of\\n100";
    let bar = format!("<progress value=\"0.400\" aria-label=\"{says}\"></progress>");
    for path in ["/".to_owned(), "/workers".to_owned(), format!("/workers/{worker}")] {
        let page = fixture.get(&path).await;
        assert!(page.contains(&bar), "{path}: {page}");
    }
    let page = fixture.get(&format!("/jobs/{job}")).await;
    assert!(page.contains("<progress value=\"0.400\"") && page.contains(says), "{page}");
}

#[tokio::test]
async fn failures_are_on_the_page_with_what_they_say() {
    let view = sample::failing(now_ms());
    let job = view.failures[0].job;
    let page = fixture(view.clone(), false).get("/").await;
    let says = "index out of bounds: the len is 80, the index is 80";
    let sentence = format!("; most often: {says}, at src/picture.rs:141:9.");
    for text in
        [sentence.as_str(), "panicked", "with [0,80,24]", "28 in the last 2 min", "ran out of time"]
    {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(page.contains(&format!("<a href=\"/jobs/{job}\">")));
    let page = fixture(sample::idle(now_ms()), false).get("/").await;
    assert!(!page.contains("class=\"failures\""), "nothing fails");
    let many = view::View { failures: vec![view.failures[0].clone(); 9], ..view };
    let fixture = fixture(many, false);
    let (front, all) = (fixture.get("/").await, fixture.get("/functions").await);
    assert!(front.contains("and 5 more") && !all.contains("and 5 more"));
    assert_eq!([front, all].map(|page| page.matches("with [0,80,24]").count()), [4, 9]);
}

#[tokio::test]
async fn pages_of_a_thousand_workers_and_two_hundred_functions_are_small_and_find_any() {
    let view = sample::thousand(now_ms());
    let last = view.workers[999].id;
    let fixture = fixture(view, true);
    for path in ["/", "/workers", "/functions", "/jobs"] {
        let page = fixture.get(path).await;
        assert!(page.len() < 300_000, "{path}: {}", page.len());
        assert!(!page.contains(&last.to_string()), "{path}");
    }
    let front = fixture.get("/").await;
    assert!(front.contains("<a href=\"/workers?q=idle\">900 idle</a>"), "{front}");
    assert!(front.contains("<a href=\"/functions\">and 176 more functions</a>"));
    let found = fixture.get("/workers?q=node-500+4.2").await;
    assert!(found.contains(&last.to_string()) && found.contains("value=\"node-500 4.2\""));
    let second = fixture.get("/workers?q=node&page=2").await;
    assert!(second.contains("51 to 100 of 1,000"));
    assert!(second.contains("href=\"/workers?q=node&amp;page=3\""));
    assert!(fixture.get("/workers?q=nowhere").await.contains("No worker matches."));
    assert!(fixture.get("/functions?q=step-194").await.contains("pipeline.step-194@1"));
}

#[tokio::test]
async fn the_page_of_a_function_has_its_versions_failures_slowest_jobs_and_callers() {
    let mut view = sample::unserved(now_ms());
    view.failures = sample::failing(now_ms()).failures;
    let failed = view.recent.iter().find(|job| &*job.function == "mandelbrot@1" && job.is_failed());
    let failed = failed.unwrap().id;
    let client = view.recent[0].client;
    let fixture = fixture(view, false);
    let page = fixture.get("/functions/mandelbrot@1").await;
    for text in ["4 workers serve it in 16 slots;", "Run p95", "points=\"0.0,", "Slowest jobs"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(page.contains(&format!("<a href=\"/jobs/{failed}\">")));
    assert!(page.contains(&format!("<a href=\"/jobs?q={client}\">")));
    assert!(!page.contains("fib@1") && !page.contains("primes@1"), "nothing of others");
    let versions = fixture.get("/functions/sleep@1").await;
    assert!(versions.contains("href=\"/functions/sleep%402\""));
    assert!(versions.contains("10 % of calls without a version"));
    assert!(!page.contains("Shadow versions") && versions.contains("Shadow versions"));
    for text in [
        "5.0 % of the calls",
        "1,190",
        "900 faster, 12 slower",
        "412 ms / 207 ms",
        "value 1499",
        "&#60;b&#62;",
    ] {
        assert!(versions.contains(text), "{text}: {versions}");
    }
    assert!(page.contains("sleep@2 as the shadow of sleep@1: 1,190 equal, 14 differ, 1 failed"));
    assert!(!versions.contains("stopped:"));
}
