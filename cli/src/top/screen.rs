//! The terminal: set up, drawn a few times a second, and restored however the command ends.

use std::io::IsTerminal;
use std::sync::mpsc as threads;
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyEventKind};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::data::Data;
use super::draw::draw;
use super::state::{Effect, Event, Order, Top};
use crate::api::Api;
use crate::exit::Failure;
use simple_dist_worker::shutdown_signal;

/// How often the screen is redrawn even if nothing happened: ages grow.
const FRAME: Duration = Duration::from_millis(250);
/// How long the key reader sleeps before it checks whether it is still needed.
const KEY_POLL: Duration = Duration::from_millis(100);
/// The most events waiting to be handled.
const EVENTS: usize = 64;
/// The most orders waiting to be sent.
const ORDERS: usize = 4;

/// Restores the terminal when it is dropped; in a panic, ratatui's hook has done so already.
struct TerminalGuard(DefaultTerminal);

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the distributor until the user or a signal ends it.
pub(crate) async fn watch(api: Api, every: Duration) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "stdout is not a terminal; use --once, or --once --json for scripts",
        ));
    }
    let mut top = Top::new(api.base(), api.has_token(), every, now());
    let (events, mut happened) = mpsc::channel(EVENTS);
    let (orders, ordered) = threads::sync_channel(ORDERS);
    let mut terminal = TerminalGuard(ratatui::try_init().map_err(Failure::unavailable)?);
    // Both threads end within their own limits once nobody listens; the command does not wait for
    // them, since a request to a frozen distributor takes two seconds.
    let keys = events.clone();
    thread::spawn(move || read_keys(&keys));
    thread::spawn(move || poll(&api, every, &ordered, &events));

    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let stop = shutdown_signal();
    tokio::pin!(stop);
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let event = tokio::select! {
            () = &mut stop => return Ok(()),
            event = happened.recv() => event,
            _ = frames.tick() => Some(Event::Tick),
        };
        let Some(event) = event else {
            return Err(Failure::function("the threads of this screen have ended"));
        };
        match top.apply(event, now()) {
            Effect::Nothing => {}
            Effect::Leave => break,
            Effect::Send(order) => {
                if orders.try_send(order).is_err() {
                    let error =
                        crate::api::Error::Refused("earlier orders are still waiting".to_owned());
                    top.apply(Event::Ordered(order, Err(error)), now());
                }
            }
        }
        let drawn = terminal.0.draw(|frame| draw(&top, colours, now(), frame));
        drawn.map_err(Failure::unavailable)?;
    }
    match (top.data, top.trouble) {
        (None, Some(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Reads keys until nobody listens.
fn read_keys(events: &mpsc::Sender<Event>) {
    while !events.is_closed() {
        let event = match event::poll(KEY_POLL) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let event = match event {
            Ok(event::Event::Key(key)) if key.kind != KeyEventKind::Release => Event::Key(key),
            Ok(_) => Event::Tick,
            // The terminal is gone.
            Err(_) => return,
        };
        if events.blocking_send(event).is_err() {
            return;
        }
    }
}

/// Fetches data and sends orders, until nobody listens.
fn poll(
    api: &Api,
    every: Duration,
    orders: &threads::Receiver<Order>,
    events: &mpsc::Sender<Event>,
) {
    loop {
        if events.blocking_send(Event::Fetched(Box::new(Data::fetch(api)))).is_err() {
            return;
        }
        let order = match orders.recv_timeout(every) {
            Ok(order) => order,
            Err(threads::RecvTimeoutError::Timeout) => continue,
            Err(threads::RecvTimeoutError::Disconnected) => return,
        };
        let path = format!("/api/v1/workers/{}/{}", order.worker, order.word());
        if events.blocking_send(Event::Ordered(order, api.post(&path))).is_err() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a screen lives by the real clock")]
fn now() -> Instant {
    Instant::now()
}
