//! Output of commands: values go to stdout, where every failure counts, messages to stderr, where
//! none does.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread;

use indicatif::ProgressBar;
use simple_dist_protocol::text;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::exit::Failure;

/// The most bytes waiting for a slow reader.
const WAITING: u32 = 16 << 20;
/// The most lines written at once.
const LINES: usize = 1024;

/// Prints a line on stdout.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    let line = format!("{text}\n");
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::output)
}

/// Prints a message to stderr as one line, escaped: parts of it may come from others. If stderr is
/// closed, there is nobody to tell.
pub(crate) fn say(words: impl Display) {
    let line = format!("{}\n", text::line(&words.to_string(), text::SHOWN));
    let _unheard = io::stderr().lock().write_all(line.as_bytes());
}

/// Writes lines to stdout on its own thread, so that a slow reader blocks neither calls nor
/// signals.
pub(crate) struct Writer {
    lines: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    end: oneshot::Receiver<io::Result<()>>,
}

/// A line, and its permit for the waiting bytes.
type Waiting = (String, OwnedSemaphorePermit);

impl Writer {
    /// Starts the thread; a progress bar on the same terminal is hidden while a line is printed.
    pub(crate) fn start(progress: ProgressBar) -> Result<Self, Failure> {
        let (lines, waiting) = mpsc::channel(LINES);
        let (tell_end, end) = oneshot::channel();
        thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || tell_end.send(write(waiting, &progress)))
            .map_err(Failure::configuration)?;
        Ok(Self { lines, room: Arc::new(Semaphore::new(WAITING as usize)), end })
    }

    /// Queues a line, waiting for room. Returns false when nothing can be written any more;
    /// [`Self::finish`] says why.
    pub(crate) async fn line(&self, mut text: String) -> bool {
        text.push('\n');
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX).min(WAITING);
        let permit = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let permit = permit.expect("it is never closed");
        self.lines.send((text, permit)).await.is_ok()
    }

    /// Waits until everything is written.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        drop(self.lines);
        let end = self.end.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        end.map_err(Failure::output)
    }
}

fn write(mut waiting: mpsc::Receiver<Waiting>, progress: &ProgressBar) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let shared = stdout.is_terminal() && !progress.is_hidden();
    let mut lines = Vec::new();
    while waiting.blocking_recv_many(&mut lines, LINES) > 0 {
        let mut together = String::new();
        let rooms: Vec<OwnedSemaphorePermit> = lines
            .drain(..)
            .map(|(line, room)| {
                together.push_str(&line);
                room
            })
            .collect();
        let mut written = || stdout.write_all(together.as_bytes()).and_then(|()| stdout.flush());
        if shared { progress.suspend(written) } else { written() }?;
        drop(rooms);
    }
    Ok(())
}

/// A number with its noun: `1 call`, `2 calls`.
pub(crate) fn some(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
