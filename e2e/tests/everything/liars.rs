//! Workers that answer differently from the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use simple_dist_client::{Client, Fallback};
use simple_dist_distributor::Distributor;
use simple_dist_distributor::web::Settings;
use simple_dist_e2e::{BrokerSite, free_port};
use simple_dist_protocol::Function;
use simple_dist_worker::Worker;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// As long as it may take until a worker is found to lie.
const LIMIT: Duration = Duration::from_secs(150);
/// The only worker that says so lies.
const LIAR: &str = "broken";

const DOUBLE: Function<u64, u64> = Function::new("double", 1).deterministic();
/// Another number at each run, whatever it is declared.
const COUNT: Function<u64, u64> = Function::new("count", 1).deterministic();

static COUNTED: AtomicU64 = AtomicU64::new(0);

async fn get(address: &str, what: &str) -> Value {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET /api/v1/{what} HTTP/1.0\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("it answers");
    let (_, body) = response.split_once("\r\n\r\n").expect("it has a body");
    serde_json::from_str(body).expect("it is JSON")
}

/// This field of those in a list of which another is as wanted.
async fn those(address: &str, list: &str, field: &str, (is, so): (&str, Value)) -> Vec<Value> {
    let all = get(address, list).await;
    let all = all.as_array().expect("it is a list").iter();
    all.filter(|it| it[is] == so).map(|it| it[field].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lies_gets_no_more_jobs_and_a_function_that_differs_is_reported() {
    let (site, shutdown) = (BrokerSite::new().await, CancellationToken::new());
    let address = free_port();
    let settings = Settings::new(address.parse().expect("it is an address"));
    let distributor = Distributor::builder(&site.url).prefix(&site.prefix).cross_check(1000);
    let distributor = distributor.preview_arguments(true).http(settings);
    let mut roles = JoinSet::new();
    let role = distributor.run(shutdown.clone().cancelled_owned());
    roles.spawn(async { role.await.expect("the settings are usable") });
    for host in [LIAR, "one", "another"] {
        let worker = Worker::builder(&site.url).prefix(&site.prefix).slots(2).host(host);
        let worker = worker
            .serve(DOUBLE, move |n| n * 2 + u64::from(host == LIAR))
            .serve(COUNT, |_| COUNTED.fetch_add(1, Ordering::Relaxed));
        let role = worker.run(shutdown.clone().cancelled_owned());
        roles.spawn(async { role.await.expect("the settings are usable") });
    }
    let client = Client::builder(&site.url).prefix(&site.prefix).connect().expect("it is usable");
    let double = client.function(DOUBLE).fallback(Fallback::Wait);
    let count = client.function(COUNT).fallback(Fallback::Wait);
    let found = async {
        for n in 0.. {
            // Not always as many: workers take turns, and the liar's would never come.
            for more in 0..=n % 4 {
                double.call(10 * n + more).await.expect("it is answered");
            }
            count.call(n).await.expect("it is answered");
            tokio::time::sleep(Duration::from_millis(50)).await;
            let out = those(&address, "workers", "host", ("state", "quarantined".into())).await;
            let refuted = those(&address, "functions", "name", ("refuted", true.into())).await;
            if !out.is_empty() && !refuted.is_empty() {
                return (out, refuted);
            }
        }
        unreachable!("it tries for ever");
    };
    let found = tokio::time::timeout(LIMIT, found).await.expect("both are found in time");
    assert_eq!(found, (vec![LIAR.into()], vec!["count@1".into()]));
    let status = get(&address, "status").await;
    let problems = status["problems"].as_array().expect("they are a list");
    let kinds: Vec<_> = problems.iter().map(|problem| &problem["kind"]).collect();
    assert!(kinds.iter().any(|kind| *kind == "outvoted"), "{kinds:?}");
    assert!(kinds.iter().any(|kind| *kind == "not_deterministic"), "{kinds:?}");
    let differences = get(&address, "differences").await;
    let answer = &differences[0]["answers"][0];
    assert_eq!(answer["digest"].as_str().map(str::len), Some(64), "{differences}");
    assert!(answer["preview"].is_string(), "{differences}");
    // What it had when it was found out has ended.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for n in 1000..1020 {
        assert_eq!(double.call(n).await, Ok(n * 2));
    }
    shutdown.cancel();
    while roles.join_next().await.is_some() {}
}
