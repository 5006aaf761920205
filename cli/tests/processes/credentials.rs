//! What `setup` writes, and who may read it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::cluster::Folder;

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simple-dist"))
        .args(arguments)
        .env("SIMPLE_DIST_CREDENTIALS", directory)
        .output()
        .expect("the binary runs")
}

#[track_caller]
fn printed(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text").trim().to_owned()
}

/// Every file in it, with its mode and text.
fn files(directory: &Path) -> BTreeMap<String, (u32, String)> {
    let mut files = BTreeMap::new();
    for role in fs::read_dir(directory).expect("setup made it") {
        let role = role.expect("a directory").path();
        for file in fs::read_dir(role).expect("setup made it") {
            let path = file.expect("a file").path();
            let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
            let name = path.strip_prefix(directory).expect("below it").display().to_string();
            files.insert(name, (mode, fs::read_to_string(&path).expect("we own it")));
        }
    }
    files
}

fn definitions(directory: &Path) -> Value {
    let (_, text) = &files(directory)["rabbitmq/definitions.json"];
    serde_json::from_str(text).expect("RabbitMQ reads JSON")
}

#[test]
fn every_role_gets_a_secret_that_only_it_may_read() {
    let directory = Folder::new();
    printed(&directory, &["setup"]);
    let files = files(&directory);
    let modes: Vec<(&str, u32)> =
        files.iter().map(|(name, (mode, _))| (name.as_str(), *mode)).collect();
    let expected = [
        ("client/amqp-url", 0o400),
        ("distributor/amqp-url", 0o400),
        ("distributor/page-token", 0o400),
        ("rabbitmq/definitions.json", 0o440),
        ("rabbitmq/erlang-cookie", 0o440),
        ("worker/amqp-url", 0o400),
    ];
    assert_eq!(modes, expected);
    let mut secrets: Vec<&str> = files
        .iter()
        .filter(|(name, _)| !name.ends_with(".json"))
        .map(|(_, (_, text))| text.split([':', '@']).max_by_key(|part| part.len()).unwrap_or(text))
        .collect();
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), 5, "a secret is shared");
    assert!(secrets.iter().all(|secret| secret.len() >= 43), "a secret is short");
    let (_, written) = &files["rabbitmq/definitions.json"];
    assert!(!secrets.iter().any(|secret| written.contains(secret)));
}

#[test]
fn a_second_run_keeps_every_secret_and_prints_none() {
    let directory = Folder::new();
    let mut said = Vec::new();
    let first = run(&directory, &["setup"]);
    let before = files(&directory);
    let second = run(&directory, &["setup"]);
    for output in [first, second] {
        assert!(output.status.success());
        said.extend(output.stdout);
        said.extend(output.stderr);
    }
    let mut after = files(&directory);
    let said = String::from_utf8(said).expect("it prints text");
    for (name, kept) in before.into_iter().filter(|(name, _)| !name.ends_with(".json")) {
        assert_eq!(after.remove(&name), Some(kept.clone()), "{name}");
        assert!(!said.contains(&kept.1), "{name}");
    }
}

#[test]
fn another_broker_and_prefix_keep_the_passwords() {
    let directory = Folder::new();
    printed(&directory, &["setup"]);
    let before = printed(&directory, &["credentials", "client", "--host", "b", "--port", "1"]);
    printed(&directory, &["setup", "--broker", "amqp://broker.example:5673", "--prefix", "jobs"]);
    let after = printed(&directory, &["credentials", "client", "--host", "b", "--port", "1"]);
    assert_eq!(before, after);
    let (_, inside) = &files(&directory)["worker/amqp-url"];
    assert!(inside.ends_with("@broker.example:5673/%2f"), "it names another broker");
    let permission = &definitions(&directory)["permissions"][2];
    assert_eq!(permission["configure"], r"^jobs\.client\.client\..+$");
}

#[test]
fn credentials_print_what_a_client_on_the_host_needs() {
    let directory = Folder::new();
    printed(&directory, &["setup"]);
    let url = printed(&directory, &["credentials", "client", "--port", "5673"]);
    assert!(url.starts_with("amqp://client:"), "another user");
    assert!(url.ends_with("@127.0.0.1:5673/%2f"), "another place");
    let token = printed(&directory, &["credentials", "page"]);
    assert_eq!(token, files(&directory)["distributor/page-token"].1);
}

#[test]
fn missing_or_unusable_settings_are_configuration_errors() {
    let directory = Folder::new();
    let code = |arguments: &[&str]| run(&directory, arguments).status.code();
    assert_eq!(code(&["credentials", "client"]), Some(78));
    assert_eq!(code(&["setup", "--broker", "amqp://me@broker"]), Some(2));
    assert_eq!(code(&["setup", "--prefix", "not.plain"]), Some(78));
    fs::create_dir_all(directory.join("client")).expect("it can be made");
    fs::write(directory.join("client/amqp-url"), "amqp://client@broker").expect("it can be");
    assert_eq!(code(&["setup"]), Some(78));
}
