//! Clients nobody here wrote.

use std::process::Command;

use simple_dist_broker::Broker;

#[tokio::test]
#[ignore = "needs python3 with pika: cargo test -- --ignored"]
async fn pika_works_on_it() {
    let broker = Broker::builder().start().await.unwrap();
    let (url, script) =
        (broker.url().to_owned(), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pika_client.py"));
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python).arg(script).arg(url).output().unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert_eq!(said.lines().last(), Some("all is well"));
}
