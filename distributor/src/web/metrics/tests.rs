//! `/metrics` is valid, is bounded, and has everything that the dashboard and the alerts use.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::*;
use crate::web::tests::sample;

const DASHBOARD: &str = include_str!("../../../../deploy/grafana.json");
const ALERTS: &str = include_str!("../../../../deploy/alerts.yaml");

async fn scraped(view: View) -> String {
    let (_view, views) = watch::channel(Arc::new(view));
    let (handle, _requests) = Handle::open(views);
    metrics(State(handle)).await.1
}

/// The names of samples, and of declared families.
fn names(text: &str) -> (BTreeSet<&str>, Vec<&str>) {
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    (
        samples.filter_map(|line| line.split(['{', ' ']).next()).collect(),
        families.filter_map(|line| line.split(' ').next()).collect(),
    )
}

/// The metrics that a query names: words with our prefix.
fn named(query: &str) -> impl Iterator<Item = &str> {
    query
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .filter(|word| word.starts_with("simple_dist_") || word.starts_with("process_"))
}

/// The names in these queries that have no sample.
fn missing<'a>(queries: &'a [String], text: &str) -> Vec<&'a str> {
    let (samples, _) = names(text);
    queries.iter().flat_map(|query| named(query)).filter(|name| !samples.contains(name)).collect()
}

/// Every text under a key, at any depth.
fn under(key: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == key => into.push(text.clone()),
                    other => under(key, other, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| under(key, item, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn queries(keys: &[&str], document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    keys.iter().for_each(|key| under(key, document, &mut found));
    found
}

#[tokio::test]
async fn the_dashboard_names_what_there_is() {
    let document = serde_json::from_str(DASHBOARD).unwrap();
    let queries = queries(&["expr", "query"], &document);
    assert!(queries.len() > 30, "{queries:?}");
    assert_eq!(missing(&queries, &scraped(sample::view()).await), [""; 0]);
}

#[tokio::test]
async fn the_alerts_name_what_there_is() {
    let document: Value = yaml_serde::from_str(ALERTS).unwrap();
    let rules = document["groups"][0]["rules"].as_array().unwrap();
    for rule in rules {
        assert!(rule["alert"].is_string() && rule["annotations"]["summary"].is_string(), "{rule}");
        assert!(rule["labels"]["severity"].is_string(), "{rule}");
    }
    let queries = queries(&["expr"], &document);
    assert!(queries.len() == rules.len() && rules.len() > 10);
    assert!(queries.iter().all(|query| named(query).next().is_some()));
    let shadow = Shadow { live: "fib@1".into(), shadow: "fib@2".into(), ..Shadow::default() };
    let view = View { shadows: vec![shadow], ..sample::view() };
    assert_eq!(missing(&queries, &scraped(view).await), [""; 0]);
}

#[tokio::test]
async fn an_unknown_metric_name_is_detected() {
    let queries = ["rate(simple_dist_nothing_total{a=\"b\"}[5m]) / simple_dist_slots".to_owned()];
    assert_eq!(missing(&queries, &scraped(sample::view()).await), ["simple_dist_nothing_total"]);
}

#[tokio::test]
async fn every_sample_is_of_one_family_and_every_line_can_be_read() {
    let text = scraped(sample::view()).await;
    let (samples, families) = names(&text);
    let once: BTreeSet<_> = families.iter().copied().collect();
    assert_eq!(once.len(), families.len(), "a family is declared once");
    for sample in samples {
        let suffixes = ["_bucket", "_sum", "_count"];
        let mut bare = suffixes.iter().filter_map(|suffix| sample.strip_suffix(suffix));
        assert!(once.contains(sample) || bare.any(|name| once.contains(name)), "{sample}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn what_has_not_failed_yet_is_counted_from_zero() {
    let text = scraped(View::default()).await;
    for kind in ANSWERS {
        let line = format!("simple_dist_jobs_failed_total{{answer=\"{kind}\"}} 0");
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    let view = sample::view();
    let (kind, number) = view.books.failed_by.first_key_value().unwrap();
    let line = format!("simple_dist_jobs_failed_total{{answer=\"{kind}\"}} {number}");
    assert_eq!(scraped(view.clone()).await.matches(&line).count(), 1);
}

#[tokio::test]
async fn beyond_a_hundred_functions_the_rest_are_one() {
    let functions =
        (0..150).map(|number| sample::function(&format!("f{number:03}@1"), 1)).collect();
    let text = scraped(View { functions, ..View::default() }).await;
    let lines: Vec<_> =
        text.lines().filter(|line| line.starts_with("simple_dist_function_slots{")).collect();
    assert_eq!(lines.len(), 101);
    assert_eq!(lines[99], "simple_dist_function_slots{function=\"f099@1\"} 2");
    assert_eq!(lines[100], "simple_dist_function_slots{function=\"other\"} 100");
    let waits = "simple_dist_job_wait_seconds_bucket{function=\"other\",le=\"0.1\"} 200";
    assert!(text.lines().any(|line| line == waits));
}
