//! What a container's health check sees.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::cluster::{Cluster, Folder, served_by, until};

fn code(arguments: &[&str]) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simple-dist"));
    command.arg("healthcheck").args(arguments).output().expect("the binary runs").status.code()
}

/// The exit code of a check of a service that gives this answer, or never answers.
fn asked(answer: Option<&'static str>) -> Option<i32> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/healthz", listener.local_addr().expect("it is bound"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the check comes");
        let mut request = [0; 1024];
        let length = stream.read(&mut request).expect("it asks");
        match answer {
            Some(answer) => stream.write_all(answer.as_bytes()).expect("it listens"),
            // Waits until the check gives up.
            None => assert_eq!(stream.read(&mut [0]).expect("it leaves"), 0),
        }
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let code = code(&["--url", &url]);
    let request = server.join().expect("the server ends");
    assert!(request.starts_with("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
    code
}

#[test]
fn a_distributor_is_asked_over_http() {
    assert_eq!(asked(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")), Some(0));
    assert_eq!(asked(Some("HTTP/1.1 503 Service Unavailable\r\n\r\n")), Some(1));
    assert_eq!(asked(Some("SSH-2.0-OpenSSH_9.2\r\n")), Some(1));
    assert_eq!(asked(None), Some(1));
    assert_eq!(code(&["--url", "http://127.0.0.1:9/healthz"]), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_keeps_its_health_file_fresh() {
    let cluster = Cluster::new().await;
    let folder = Folder::new();
    let file = &folder.file("alive", "");
    let old = SystemTime::now() - Duration::from_secs(60);
    let opened = OpenOptions::new().write(true).open(file);
    opened.and_then(|file| file.set_modified(old)).expect("it is there");
    assert_eq!(code(&["--file", file]), Some(1));
    let _distributor = cluster.start(&["distributor"]);
    let mut worker = cluster.start(&["worker", "--health-file", file]);
    served_by(&cluster.client(), 1).await;
    until("it is fresh", || code(&["--file", file]) == Some(0)).await;
    worker.kill();
    fs::remove_file(file).expect("it was there");
    assert_eq!(code(&["--file", file]), Some(1));
}
