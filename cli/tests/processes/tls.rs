//! `amqps://` on the command line.

use std::process::{Command, Output, Stdio};

fn call(environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simple-dist"))
        .args(["call", "fib", "20"])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn files_that_cannot_be_used_are_bad_configuration() {
    let nowhere = ("AMQP_CA_FILE", "/nowhere/ca.pem");
    let plain = call(&[("AMQP_URL", "amqp://127.0.0.1:9"), nowhere]);
    assert_eq!(plain.status.code(), Some(78));
    assert!(said(&plain).contains("/nowhere/ca.pem"), "{}", said(&plain));

    let alone = call(&[("AMQP_URL", "amqps://127.0.0.1:9"), ("AMQP_KEY_FILE", "key.pem")]);
    assert_eq!(alone.status.code(), Some(2), "a key without its certificate");
}

#[cfg(feature = "tls")]
mod built_in {
    use simple_dist_e2e::{Authority, TlsProxy};

    use super::{call, said};
    use crate::cluster::{Cluster, Folder, Role, TIMEOUT};

    #[tokio::test(flavor = "multi_thread")]
    async fn every_role_takes_the_files_of_tls() {
        let (cluster, folder) = (Cluster::new().await, Folder::new());
        let (authority, people) = (Authority::new(), Authority::new());
        let shown = authority.sign("127.0.0.1");
        let proxy = TlsProxy::before(&cluster.site.url, &shown, Some(&people)).await;
        let mine = people.sign("a-role");
        let (ca, certificate, key) = (
            folder.file("ca.pem", &authority.pem),
            folder.file("certificate.pem", &mine.certificate),
            folder.file("key.pem", &mine.key),
        );
        let flags =
            ["--url", proxy.url(), "--ca", &ca, "--certificate", &certificate, "--key", &key];
        let start = |role: &str| -> Role { cluster.start(&[&[role], &flags[..]].concat()) };
        let (_distributor, _worker) = (start("distributor"), start("worker"));

        let called = tokio::task::spawn_blocking(move || {
            let variables = [
                ("AMQP_URL", proxy.url()),
                ("AMQP_CA_FILE", &ca),
                ("AMQP_CERTIFICATE_FILE", &certificate),
                ("AMQP_KEY_FILE", &key),
                ("SIMPLE_DIST_PREFIX", &cluster.site.prefix),
            ];
            loop {
                let output = call(&variables);
                assert_eq!(String::from_utf8_lossy(&output.stdout), "6765\n", "{}", said(&output));
                if said(&output).contains("from worker") {
                    return;
                }
            }
        });
        let called = tokio::time::timeout(TIMEOUT, called).await;
        called.expect("a worker answers").expect("every call is right");
    }

    #[test]
    fn an_invalid_certificate_is_bad_configuration() {
        let folder = Folder::new();
        let empty = folder.file("empty.pem", "");
        let output = call(&[("AMQP_URL", "amqps://127.0.0.1:9"), ("AMQP_CA_FILE", &empty)]);
        assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    }
}
