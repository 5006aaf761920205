//! Cancelled jobs are not started, and those still running are visible.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use simple_dist_client::{CallError, Client, Fallback};
use simple_dist_demo::functions::{FIB, SLEEP};

use crate::cluster::{
    Cluster, Role, TIMEOUT, free_port, get, is_remote, json, now, running, served_by, timed, until,
};

const TOKEN: &str = "a-token-that-only-operators-know";
/// How long each cancelled job would run.
const LONG: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_jobs_are_not_started_and_another_waits_only_for_running_ones() {
    let cluster = Cluster::new().await;
    let site = free_port();
    let _distributor = cluster.start(&["distributor", "--listen", &site]);
    // What runs on a thread is not killed, and can be looked at for as long as it runs.
    let _worker = cluster.start(&["worker", "--slots", "2", "--isolation", "thread"]);
    let client = cluster.client();
    served_by(&client, 1).await;

    let sleep = client.function(SLEEP);
    let begun = now();
    for count in 0..60 {
        let millis = u64::try_from(LONG.as_millis()).expect("a few seconds");
        let call = sleep.call(millis).fallback(Fallback::Wait);
        let placed = async {
            if count == 0 {
                return until("the first runs", || running(&site).is_some()).await;
            }
            // Long enough to be placed; then its caller is gone.
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        tokio::select! {
            ended = call => panic!("nobody answers so soon: {ended:?}"),
            () = placed => {}
        }
    }
    until("the page and the API show what runs for nobody", || {
        let totals = &json(&site, "/api/v1/status")["totals"];
        let [busy, abandoned] = ["busy", "abandoned"].map(|name| totals[name].as_u64());
        let is_counted = busy >= abandoned && abandoned > Some(0);
        let workers = json(&site, "/api/v1/workers");
        let held = workers.as_array().expect("a list").iter().flat_map(|it| it["held"].as_array());
        let mut held = held.flatten().filter(|it| it["abandoned"] == true);
        let is_listed = held.any(|it| it["function"] == "sleep@1");
        is_counted && is_listed && get(&site, "/").contains("abandoned, still running")
    })
    .await;

    let fib = client.function(FIB);
    let (answer, _) = timed(fib.call(20).fallback(Fallback::Wait)).await;
    assert!(is_remote(&answer.expect("it is answered")));
    // Two of each may have started, one after another; sixty would take 300 s.
    assert!(
        begun.elapsed() < LONG * 8,
        "it waited for what nobody waits for: {:?}",
        begun.elapsed()
    );
}

/// How a job ends that would run on for ever.
#[derive(Debug, Clone, Copy)]
enum How {
    Deadline,
    DroppedCall,
    HungUpHttp,
    ButtonOfThePage,
    Command,
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_job_ends_that_runs_on_its_slot_runs_the_next_within_two_seconds() {
    let cluster = Cluster::new().await;
    let site = free_port();
    let mut distributor = cluster.command(&["distributor"]);
    let _distributor = Role::run(distributor.env("LISTEN", &site).env("SIMPLE_DIST_TOKEN", TOKEN));
    let _worker = cluster.start(&["worker", "--slots", "1"]);
    let client = cluster.client();
    served_by(&client, 1).await;

    for how in
        [How::Deadline, How::DroppedCall, How::HungUpHttp, How::ButtonOfThePage, How::Command]
    {
        let mut took = vec![];
        // A busy machine holds up some.
        while took.iter().all(|took| *took >= Duration::from_secs(2)) {
            assert!(took.len() < 5, "{how:?}: {took:?}");
            end_one(&client, &site, how).await;
            let next = client.function(FIB).call(20).fresh().fallback(Fallback::Wait);
            let (answer, after) = timed(next).await;
            answer.expect("it is answered");
            took.push(after);
        }
    }
}

/// Begins a job that runs for ever, and ends it.
async fn end_one(client: &Client, site: &str, how: How) {
    let sleep = client.function(SLEEP).fallback(Fallback::Wait);
    let millis = u64::MAX >> 1;
    let runs = until("it runs", || running(site).is_some());
    let id = || running(site).expect("it runs");
    match how {
        How::Deadline => {
            let ended = sleep.call(millis).timeout(Duration::from_secs(2)).await;
            assert!(matches!(ended, Err(CallError::Timeout)), "{ended:?}");
        }
        How::DroppedCall => tokio::select! {
            ended = sleep.call(millis) => panic!("{ended:?}"),
            () = runs => {}
        },
        How::HungUpHttp => {
            let mut caller = TcpStream::connect(site).expect("it listens");
            let head = format!("POST /api/v1/functions/sleep/call HTTP/1.1\r\nhost: {site}\r\n");
            let body = format!("[{millis}]");
            let more =
                format!("authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n");
            let end = format!("content-length: {}\r\n\r\n{body}", body.len());
            caller.write_all(format!("{head}{more}{end}").as_bytes()).expect("it reads");
            runs.await;
        }
        How::ButtonOfThePage | How::Command => {
            let ended = tokio::join!(sleep.call(millis), async {
                runs.await;
                if matches!(how, How::Command) {
                    assert_eq!(cancel(site, &id(), Some(TOKEN)), Some(0));
                    return;
                }
                let button = ureq::post(format!("http://{site}/jobs/{}/cancel", id()));
                let button = button.header("authorization", format!("Bearer {TOKEN}"));
                button.send_empty().expect("it is there");
            });
            assert!(matches!(ended.0, Err(CallError::Cancelled)), "{ended:?}");
        }
    }
}

/// Runs `simple-dist cancel`; its exit code.
fn cancel(site: &str, id: &str, token: Option<&str>) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simple-dist"));
    command.args(["cancel", id, "--url", &format!("http://{site}")]);
    command.env_remove("SIMPLE_DIST_TOKEN").env_remove("SIMPLE_DIST_TOKEN_FILE");
    command.envs(token.map(|token| ("SIMPLE_DIST_TOKEN", token)));
    command.output().expect("the binary runs").status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_cancels_a_job_by_its_id() {
    let cluster = Cluster::new().await;
    let site = free_port();
    let mut distributor = cluster.command(&["distributor"]);
    let _distributor = Role::run(distributor.env("LISTEN", &site).env("SIMPLE_DIST_TOKEN", TOKEN));
    let _worker = cluster.start(&["worker", "--slots", "1"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let cancel = |id: &str, token| cancel(&site, id, token);

    let call = client.function(SLEEP).call(600_000).fallback(Fallback::Wait);
    let (ended, id) = tokio::join!(call.timeout(TIMEOUT * 4), async {
        until("it runs", || running(&site).is_some()).await;
        let id = running(&site).expect("it runs on");
        assert_eq!(cancel(&id, None), Some(77));
        assert_eq!(cancel(&id, Some(TOKEN)), Some(0));
        id
    });
    assert!(matches!(ended, Err(CallError::Cancelled)), "{ended:?}");
    assert_eq!(json(&site, &format!("/api/v1/jobs/{id}"))[0]["cancelled_by"], "operator");
    assert_eq!(cancel(&id, Some(TOKEN)), Some(1), "it has ended");
    assert_eq!(cancel(&id.replace(|_| true, "0"), Some(TOKEN)), Some(1), "nobody knows it");
    assert_eq!(cancel("fib", Some(TOKEN)), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_half_of_its_slots_lost_leaves_if_asked_to() {
    let cluster = Cluster::new().await;
    let _distributor = cluster.start(&["distributor"]);
    let arguments = ["worker", "--slots", "2", "--isolation", "thread", "--exit-when-stuck"];
    let mut worker = cluster.command(&arguments);
    let worker = worker.stdout(Stdio::null()).stderr(Stdio::null());
    let mut worker = worker.spawn().expect("the binary runs");
    let client = cluster.client();
    served_by(&client, 1).await;

    let call = client.function(SLEEP).call(600_000).fallback(Fallback::Wait);
    // Long enough to begin.
    let ended = call.timeout(Duration::from_secs(8)).await;
    assert!(matches!(ended, Err(CallError::Timeout)), "{ended:?}");
    let begun = now();
    let code = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if let Some(status) = worker.try_wait().expect("a child can be waited for") {
            break status.code();
        }
        if begun.elapsed() > Duration::from_secs(60) {
            worker.kill().expect("it runs");
            worker.wait().expect("a child can be waited for");
            break None;
        }
    };
    assert_eq!(code, Some(70));
}
