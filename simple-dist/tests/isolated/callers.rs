//! Clients whose local runs are in child processes.

use super::*;

/// A client whose local runs are in children, of the broker there.
fn isolated_client(url: &str) -> Client {
    let client = Client::builder(url).local_isolation(Isolation::Process).local_slots(1);
    client.connect().unwrap()
}

pub(crate) const NOBODY: &str = "amqp://127.0.0.1:9";

pub(crate) async fn a_client_runs_in_a_child_what_runs_here() {
    let client = isolated_client(NOBODY);
    let here = client.function(CHILD).locally(|()| panic!("it is not in a child"));
    let answer = here.call(()).detailed().await.unwrap();
    assert_eq!(answer.ran, Ran::Local { reason: Reason::NoConnection });
    let (pid, variables) = answer.value;
    assert_ne!(pid, process::id());
    assert_eq!(here.call(()).await.unwrap().0, pid, "it is kept");
    assert!(variables.iter().any(|variable| variable.starts_with("PATH=")));
    assert!(!variables.iter().any(|variable| variable.starts_with("socket ")), "{variables:?}");

    let echo = client.function(ECHO).locally(|bytes| bytes);
    for length in [0, 8 * 1024 * 1024 - 100, 9 * 1024 * 1024] {
        let bytes = Bytes::from(vec![7; length]);
        assert!(echo.call(bytes.clone()).await.unwrap() == bytes, "{length}");
    }
    let mut asked = client.function(ASKS).locally(asks).call(()).deadline(LIMIT / 2);
    let mut news = asked.progress();
    let (asked, heard) = tokio::join!(asked, news.next());
    assert_eq!(heard.map(|it| (it.fraction, it.text)), Some((0.5, "half".to_owned())));
    let (id, attempt, ends) = asked.unwrap();
    assert_eq!((id.len(), attempt, ends), (32, 0, true));
    let failing = client.function(FAILS).locally(fails);
    let failed = failing.call(0).await.unwrap_err();
    assert!(matches!(&failed, CallError::Panicked { message } if message == "it panics"));
    let failed = failing.call(7).await.unwrap_err();
    assert!(matches!(&failed, CallError::Function(text) if text == "7 is wrong"), "{failed:?}");
    assert_eq!(here.call(()).await.unwrap().0, pid, "none of this has ended it");

    // What is not at the entrance runs on a thread.
    let double = client.function(DOUBLE).locally(|n| n + u64::from(process::id()));
    assert_eq!(double.call(1).await.unwrap(), 1 + u64::from(process::id()));
    client.close().await;
    until_no_child().await;
}

pub(crate) async fn whatever_runs_here_costs_a_child_and_not_its_caller() {
    let client = Client::builder(NOBODY).local_isolation(Isolation::Process).local_slots(4);
    let client = client.connect().unwrap();
    let killer = client.function(KILLER).locally(kill);
    let killers = KILLERS.map(async |(how, ..)| {
        let end = killer.call(how.to_owned()).await;
        let Err(CallError::Crashed { signal, code, output, note, .. }) = end else {
            panic!("{how}: {end:?}")
        };
        check_end(how, (signal, code), &output, note.as_deref());
    });
    let endless = ENDLESS.map(async |how| {
        let end = killer.call(how.to_owned()).deadline(SHORT * 2).await;
        assert!(matches!(end, Err(CallError::Deadline)), "{how}: {end:?}");
    });
    let harmless = HARMLESS.map(async |how| {
        assert_eq!(killer.call(how.to_owned()).await.unwrap(), 1, "{how}");
    });
    let nap = client.function(NAP).locally(nap);
    let others = (0..100).map(async |_| assert_eq!(nap.call(1).await.unwrap(), 1));
    tokio::join!(join_all(others), join_all(killers), join_all(endless), join_all(harmless));
    assert_eq!(killer.call("exit later".to_owned()).await.unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await; // what exits later has
    assert_eq!(nap.call(1).await.unwrap(), 1);
    client.close().await;
    until_no_child().await;
}

pub(crate) async fn a_run_here_ends_with_its_call() {
    let client = isolated_client(NOBODY);
    let killer = client.function(KILLER).locally(kill);
    let here = client.function(CHILD).locally(child);
    let (first, _) = here.call(()).await.unwrap();
    let end = killer.call("loop".to_owned()).deadline(SHORT * 2).await;
    assert!(matches!(end, Err(CallError::Deadline)), "{end:?}");
    // There is one slot: the next call waits until the child is killed.
    let (second, _) = here.call(()).await.unwrap();
    assert!(first != second && !lives(first));
    leave_running(killer.call("loop".to_owned())).await;
    let (third, _) = here.call(()).await.unwrap();
    assert!(second != third && !lives(second));
    client.close().await;
    until_no_child().await;
}

pub(crate) async fn what_ended_the_only_worker_ends_a_child_of_its_caller() {
    let cluster = Cluster::start().await;
    let client = isolated_client(cluster.url());
    let killer = client.function(KILLER).locally(kill);
    for (how, ends, said) in [
        ("overflow", (Some(6), None), "has overflowed its stack"),
        ("abort", (Some(6), None), ""),
        ("exit", (None, Some(0)), ""),
    ] {
        let mut command = Command::new(env::current_exe().unwrap());
        let mut worker = Killed(command.args(["--threads", cluster.url()]).spawn().unwrap());
        killer.call("nothing".to_owned()).fallback(Fallback::Wait).await.unwrap();
        // As soon as nobody serves it any more, long before its time has passed.
        let end = killer.call(how.to_owned()).timeout(LIMIT * 2).await;
        while worker.0.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await; // it was the first
        }
        let Err(CallError::Crashed { signal, code, output, .. }) = end else {
            panic!("{how}: {end:?}")
        };
        assert_eq!((signal, code), ends, "{how}");
        assert!(output.contains(said), "{how}: {output}");
    }
    client.close().await;
    cluster.stop().await;
    until_no_child().await;
}

pub(crate) async fn without_an_entrance_no_client_has_children() {
    let program = env::current_exe().unwrap();
    let ended = tokio::task::spawn_blocking(|| Command::new(program).arg("--no-entrance").status());
    assert!(ended.await.unwrap().unwrap().success());
}
