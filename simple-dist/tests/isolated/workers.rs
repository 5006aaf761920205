//! Workers whose slots are child processes.

use super::*;

pub(crate) async fn a_child_serves_as_a_thread_does() {
    let site = Site::new(|worker| worker.slots(1)).await;
    for length in [0, 1, 100_000, 8 * 1024 * 1024 - 100] {
        let bytes = Bytes::from(vec![7; length]);
        assert!(site.call(ECHO, bytes.clone()).await.unwrap() == bytes);
    }
    for (n, sum) in [(1, 1), (2, 3), (3, 6)] {
        assert_eq!(site.call(TALLY, n).await.unwrap(), sum);
    }
    let mut asks = site.function(ASKS).call(()).fallback(Fallback::Wait);
    let mut news = asks.progress();
    let (asked, heard) = tokio::join!(asks, news.next());
    assert_eq!(heard.map(|it| (it.fraction, it.text)), Some((0.5, "half".to_owned())));
    let (id, attempt, ends) = asked.unwrap();
    assert_eq!((id.len(), attempt, ends), (32, 1, true));
    let fails = site.function(FAILS);
    let failed = fails.call(0).fallback(Fallback::Wait).await.unwrap_err();
    assert!(matches!(&failed, CallError::Panicked { message, .. } if message == "it panics"));
    let failed = fails.call(7).fallback(Fallback::Wait).await.unwrap_err();
    assert!(matches!(&failed, CallError::Function(text) if text == "7 is wrong"), "{failed:?}");
    let (child, _) = site.call(CHILD, ()).await.unwrap();
    assert_ne!(child, process::id());
    assert_eq!(site.call(CHILD, ()).await.unwrap().0, child);
    site.stop().await;
}

pub(crate) async fn whatever_a_job_does_costs_one_child_and_nothing_else() {
    let site = Site::new(|worker| worker.slots(6)).await;
    let killer = |how: &str| site.function(KILLER).call(how.to_owned()).fallback(Fallback::Wait);
    let killers = KILLERS.iter().chain(&HOGS).map(async |&(how, ..)| {
        let end = killer(how).await;
        let Err(CallError::Poisoned { workers, crashes }) = end else { panic!("{how}: {end:?}") };
        assert!(workers.is_empty() && crashes.len() == 3, "{how}: {crashes:?}");
        for crash in crashes {
            check_end(how, (crash.signal, crash.code), &crash.output, crash.note.as_deref());
        }
    });
    let endless = ENDLESS.map(async |how| {
        let end = killer(how).timeout(SHORT * 2).await;
        assert!(matches!(end, Err(CallError::Timeout)), "{how}: {end:?}");
    });
    let harmless = HARMLESS.map(async |how| assert_eq!(killer(how).await.unwrap(), 1, "{how}"));
    let others = async {
        let calls = site.function(DOUBLE).fallback(Fallback::Wait).map(0..1000).in_flight(16);
        let values: Vec<u64> = calls.ordered().try_collect().await.unwrap();
        assert!(values.into_iter().eq((0..1000).map(|n| n * 2)));
    };
    // All beside each other.
    tokio::join!(others, join_all(killers), join_all(endless), join_all(harmless));

    // What is left behind in a child ends it whenever it likes.
    assert_eq!(killer("exit later").await.unwrap(), 1);
    let worker = site.function(DOUBLE).call(0).detailed().await.unwrap().ran;
    for n in 0..20 {
        let answer = site.function(DOUBLE).call(n).detailed().await.unwrap();
        assert_eq!((answer.value, answer.ran.worker()), (n * 2, worker.worker()));
    }
    while children_of(process::id()).len() != 6 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.stop().await;
}

pub(crate) async fn what_runs_on_is_told_to_stop_and_then_killed() {
    let site = Site::new(|worker| worker.slots(1)).await;
    let file = env::temp_dir().join(format!("simple-dist-stops-{}", JobId::new()));
    let stops = site.function(STOPS).call(file.to_str().unwrap().to_owned());
    // Long enough to begin.
    let end = stops.fallback(Fallback::Wait).timeout(SHORT * 3).await;
    assert!(matches!(end, Err(CallError::Timeout)), "{end:?}");
    let (child, _) = site.call(CHILD, ()).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "stopped");
    fs::remove_file(file).unwrap();

    let began = Instant::now();
    let looping = site.function(KILLER).call("loop".to_owned()).fallback(Fallback::Wait);
    leave_running(looping).await;
    let (next, _) = site.call(CHILD, ()).await.unwrap();
    assert_ne!(next, child, "it was killed");
    assert!(began.elapsed() < LIMIT / 2);
    site.stop().await;
}

pub(crate) async fn short_jobs_that_turn_out_long_hold_up_no_other() {
    // Lists of short jobs go to a child together; what has not begun behind a long one comes back.
    let site = Site::new(|worker| worker).await;
    let millis = |n| if n % 500 == 499 { 150 } else { 0 };
    for in_flight in [1000, 10] {
        let mut naps = site.function(NAP).map((0..3000).map(millis)).in_flight(in_flight).ordered();
        for n in 0..3000 {
            assert_eq!(naps.next().await.unwrap().unwrap(), millis(n));
        }
    }
    site.stop().await;
}

pub(crate) async fn a_child_has_no_credentials() {
    let secrets = ["AMQP_URL", "RABBITMQ_URL", "CLOUDAMQP_URL", "SIMPLE_DIST_TOKEN"];
    let secrets = [&secrets[..], &["SIMPLE_DIST_BROKER_PASSWORD"]].concat();
    let mut command = Command::new(env::current_exe().unwrap());
    let cluster = Cluster::start().await;
    command.args(["--worker", cluster.url()]).env("MINE", "kept");
    for name in secrets {
        command.env(name, "amqp://someone:h1dden@127.0.0.1:9");
        command.env(format!("{name}_FILE"), "/h1dden");
    }
    command.env("AMQP_CERTIFICATE_FILE", "/h1dden").env("AMQP_KEY_FILE", "/h1dden");
    let worker = Killed(command.spawn().unwrap());
    let child = cluster.client().function(CHILD).call(()).fallback(Fallback::Wait);
    let (_, variables) = child.await.unwrap();
    let told = |word: &str| variables.iter().any(|variable| variable.contains(word));
    assert!(!told("h1dden") && !told("someone") && told("MINE=kept"), "{variables:?}");
    assert!(told("AMQP_URL=amqp://127.0.0.1:5672"), "a program that reads it goes on");
    assert!(!told("socket "), "the broker's connection is the worker's: {variables:?}");
    drop(worker);
    cluster.stop().await;
}

pub(crate) async fn what_a_job_prints_is_in_the_workers_log_with_its_id() {
    let cluster = Cluster::start().await;
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--worker", cluster.url()]).env("LOGS", "1").stderr(Stdio::piped());
    let mut worker = Killed(command.spawn().unwrap());
    let log = BufReader::new(worker.0.stderr.take().unwrap());
    let (id, ..) = cluster.client().function(ASKS).call(()).fallback(Fallback::Wait).await.unwrap();
    let printed = tokio::task::spawn_blocking(|| {
        let mut lines = log.lines().map(|line| line.unwrap());
        lines.find(|line| line.contains(r#""output":"it asks""#)).unwrap()
    });
    assert!(printed.await.unwrap().contains(&format!(r#""job.id":"{id}""#)));
    drop(worker);
    cluster.stop().await;
}

pub(crate) async fn what_a_job_prints_is_shown_with_its_worker_only_if_it_is_shared() {
    let cluster = Cluster::start().await;
    let free = free_port::free_port().parse().unwrap();
    // On standby: it hears the workers as the active one does.
    let standby = Distributor::builder(cluster.url()).http(Settings::new(free));
    let (stop, stopped) = oneshot::channel::<()>();
    let standby = tokio::spawn(standby.run(async { _ = stopped.await }));
    for shares in [false, true] {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--worker", cluster.url()]);
        let worker = match shares {
            true => Killed(command.env("SHARES", "1").spawn().unwrap()),
            false => Killed(command.spawn().unwrap()),
        };
        let asks = cluster.client().function(ASKS).call(()).fallback(Fallback::Wait);
        let answer = asks.detailed().await.unwrap();
        let Ran::Remote { worker: ran_by, .. } = answer.ran else { panic!("{:?}", answer.ran) };
        let (line, job) = (r#""line":"it asks""#, format!(r#""job":"{}""#, answer.value.0));
        let begun = Instant::now();
        loop {
            let shown = get(free, &format!("/api/v1/workers/{ran_by}"));
            let has = shown.contains(line) && shown.contains(&job);
            assert!(shares || !has, "{shown}");
            if has || (!shares && begun.elapsed() > SHORT * 2) {
                break;
            }
            assert!(begun.elapsed() < LIMIT / 2, "{shown}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(!get(free, "/api/v1/workers").contains("it asks"), "lists leave it out");
        drop(worker);
    }
    stop.send(()).unwrap();
    standby.await.unwrap().unwrap();
    cluster.stop().await;
}

fn get(address: std::net::SocketAddr, path: &str) -> String {
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return String::new() };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) async fn jobs_in_children_call_others() {
    let cluster = Cluster::start().await;
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--worker", cluster.url()]).env("CALLS_URL", cluster.url());
    let worker = Killed(command.spawn().unwrap());
    // Two slots, and five that wait: they lend their places.
    let nested = cluster.client().function(NESTED).call(5).fallback(Fallback::Wait);
    assert_eq!(nested.await.unwrap(), 5);
    drop(worker);
    cluster.stop().await;
}

pub(crate) async fn children_end_with_their_worker() {
    let cluster = Cluster::start().await;
    let mut command = Command::new(env::current_exe().unwrap());
    let worker = Killed(command.args(["--worker", cluster.url()]).spawn().unwrap());
    let child = cluster.client().function(CHILD);
    let mut pids = BTreeSet::new();
    while pids.len() < 2 {
        let calls = (0..4).map(|_| child.call(()).fallback(Fallback::Wait));
        for end in futures_util::future::join_all(calls).await {
            pids.insert(end.unwrap().0);
        }
    }
    assert!(pids.iter().all(|pid| lives(*pid)));
    drop(worker);
    while pids.iter().any(|pid| lives(*pid)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.stop().await;
}

pub(crate) async fn a_child_is_replaced_after_its_share_of_jobs() {
    let site = Site::new(|worker| worker.slots(1).recycle_after(2)).await;
    let mut pids = vec![];
    for _ in 0..5 {
        pids.push(site.call(CHILD, ()).await.unwrap().0);
    }
    // The first call was another's.
    assert!(pids[0] != pids[1] && pids[1] == pids[2] && pids[2] != pids[3], "{pids:?}");
    site.stop().await;
}

pub(crate) async fn a_program_whose_children_do_not_arrive_is_told_so() {
    let program = env::current_exe().unwrap();
    let ended = tokio::task::spawn_blocking(|| Command::new(program).arg("--stuck").status());
    let ended: io::Result<_> = ended.await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(7));
}
