//! A headless Chromium for one test.

use std::panic::Location;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::error::CmdError;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::future::join_all;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use simple_dist_e2e::{Cluster, free_port};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

/// One browser at a time: the tests measure how soon the page shows something.
static TURN: Mutex<()> = Mutex::const_new(());

/// How long a driver may take to start.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A browser and its driver; both stop when this is dropped.
pub(crate) struct Browser {
    pub(crate) page: Client,
    driver: Driver,
    _turn: MutexGuard<'static, ()>,
}

/// The process of Chromium's driver.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Browser {
    /// Starts a browser with scripts.
    pub(crate) async fn new() -> Self {
        Self::start(json!({}), &[]).await
    }

    /// The same with further arguments.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        Self::start(json!({}), arguments).await
    }

    /// Starts a browser without scripts.
    pub(crate) async fn without_scripts() -> Self {
        let off = json!({ "profile.managed_default_content_settings.javascript": 2 });
        Self::start(off, &[]).await
    }

    async fn start(preferences: serde_json::Value, further: &[&str]) -> Self {
        let turn = TURN.lock().await;
        let program = std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned());
        let address = free_port();
        let (_, port) = address.rsplit_once(':').expect("it has a port");
        let driver = Command::new(&program)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is installed: {error}"));
        let driver = Driver(driver);
        let mut arguments =
            vec!["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        arguments.extend(further);
        let options = json!({ "args": arguments, "prefs": preferences });
        let mut wanted = Capabilities::new();
        wanted.insert("goog:chromeOptions".to_owned(), options);
        let begun = Instant::now();
        let page = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            let connecting = builder.capabilities(wanted.clone());
            match connecting.connect(&format!("http://127.0.0.1:{port}")).await {
                Ok(page) => break page,
                Err(error) if begun.elapsed() > TIMEOUT => panic!("a browser starts: {error}"),
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        };
        Self { page, driver, _turn: turn }
    }

    /// The text of the first matching element; empty if there is none.
    pub(crate) async fn text(&self, selector: &str) -> String {
        self.texts(selector).await.into_iter().next().unwrap_or_default()
    }

    /// What this script returns.
    pub(crate) async fn asks(&self, script: &str) -> serde_json::Value {
        self.page.execute(script, vec![]).await.expect("the script runs")
    }

    /// Clicks the first matching element; its successor, if an update replaces it just then.
    pub(crate) async fn click(&self, selector: &str) -> Result<(), CmdError> {
        loop {
            match self.page.find(Locator::Css(selector)).await?.click().await {
                Err(error) if error.is_stale_element_reference() => {}
                end => return end,
            }
        }
    }

    /// Shows the token of [`Cluster`].
    pub(crate) async fn log_in(&self, address: &str) -> Result<(), CmdError> {
        self.page.goto(&format!("{address}/login")).await?;
        self.page.find(Locator::Css("#token")).await?.send_keys(Cluster::TOKEN).await?;
        self.click("form.login button").await
    }

    /// The texts of all matching elements; of their successors, if an update replaces them just then.
    pub(crate) async fn texts(&self, selector: &str) -> Vec<String> {
        loop {
            let elements = self.page.find_all(Locator::Css(selector)).await.unwrap_or_default();
            let texts = join_all(elements.iter().map(|element| element.text())).await;
            let replaced = |text: &Result<_, CmdError>| {
                text.as_ref().is_err_and(CmdError::is_stale_element_reference)
            };
            if !texts.iter().any(replaced) {
                return texts.into_iter().map(Result::unwrap_or_default).collect();
            }
        }
    }

    /// Waits until an element's text contains this, and returns how long that took.
    #[track_caller]
    pub(crate) fn sees<'a>(
        &'a self,
        selector: &'a str,
        text: &'a str,
        within: Duration,
    ) -> impl Future<Output = Duration> + 'a {
        self.waits(selector, text, true, within, Location::caller())
    }

    /// Waits until no element's text contains this.
    #[track_caller]
    pub(crate) fn misses<'a>(
        &'a self,
        selector: &'a str,
        text: &'a str,
        within: Duration,
    ) -> impl Future<Output = Duration> + 'a {
        self.waits(selector, text, false, within, Location::caller())
    }

    async fn waits(
        &self,
        selector: &str,
        text: &str,
        there: bool,
        within: Duration,
        place: &Location<'_>,
    ) -> Duration {
        let begun = Instant::now();
        loop {
            let texts = self.texts(selector).await;
            if texts.iter().any(|found| found.contains(text)) == there {
                return begun.elapsed();
            }
            let late = begun.elapsed() > within;
            assert!(
                !late,
                "{place}: {text:?} in {selector}, wanted {there} within {within:?}: {texts:?}"
            );
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// Closes it.
    pub(crate) async fn close(self) {
        self.page.close().await.expect("the browser closes");
        drop(self.driver);
    }
}
