//! The file that keeps the history over a restart: replaced as a whole, now and then and at the end.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use simple_dist_protocol::codec;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::History;

/// The most bytes of a file: a full history takes about 5 MB.
const BYTES: u64 = 32 << 20;
/// How long the last writing may take: a disk that hangs is no reason to.
const LAST: Duration = Duration::from_secs(5);
/// The first line of a file.
const HEAD: &[u8] = b"simple-dist history 1\n";

/// Where the history is kept, if anywhere. Without a place nothing is written.
#[derive(Debug, Default)]
pub(crate) struct HistoryFile {
    path: Option<PathBuf>,
    /// Closed when the last writing has ended.
    writing: Option<oneshot::Receiver<()>>,
}

impl HistoryFile {
    pub(crate) fn at(path: Option<PathBuf>) -> Self {
        Self { path, writing: None }
    }

    /// Begins to write it, unless that is still going on since the last time.
    pub(crate) fn save(&mut self, history: &History) {
        let is_open = |writing: &mut oneshot::Receiver<()>| {
            writing.try_recv() == Err(oneshot::error::TryRecvError::Empty)
        };
        let Some(path) = self.path.clone().filter(|_| !self.writing.as_mut().is_some_and(is_open))
        else {
            return;
        };
        let (writes, writing) = oneshot::channel();
        let history = history.clone();
        // A thread and no task: a runtime waits for its tasks when it ends, however long they take.
        let begun = thread::Builder::new().name("history".to_owned()).spawn(move || {
            write_or_warn(&path, &history);
            drop(writes);
        });
        match begun {
            Ok(_detached) => self.writing = Some(writing),
            Err(error) => tracing::warn!(%error, "cannot write the history"),
        }
    }

    /// Writes it for the last time.
    pub(crate) async fn finish(mut self, history: &History) {
        let all = async {
            self.written().await;
            self.save(history);
            self.written().await;
        };
        if timeout(LAST, all).await.is_err() {
            tracing::warn!("the history was not written in time: its last minute is lost");
        }
    }

    async fn written(&mut self) {
        if let Some(writing) = self.writing.take() {
            // It is only ever closed.
            let _closed = writing.await;
        }
    }
}

fn write_or_warn(path: &Path, history: &History) {
    if let Err(error) = write(path, history) {
        tracing::warn!(%error, path = %path.display(), "cannot write the history");
    }
}

/// Replaces the file as a whole: whoever reads it finds the old one or the new one.
fn write(path: &Path, history: &History) -> io::Result<()> {
    let body = codec::encode(history).map_err(io::Error::other)?;
    let new = beside(path, "new");
    let mut file = File::create(&new)?;
    file.write_all(HEAD)?;
    file.write_all(&body)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// The history in this file; an empty one if there is none yet. What cannot be read is set aside, and
/// the log says so: it is never a reason not to start.
pub(crate) fn read(path: Option<&Path>, unix_now: Duration) -> History {
    let Some(path) = path else { return History::default() };
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(BYTES + 1).read_to_end(&mut bytes));
    let problem = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return History::default(),
        Err(error) => error.to_string(),
        Ok(_) if bytes.len() as u64 > BYTES => format!("it has more than {} MiB", BYTES >> 20),
        Ok(_) => match bytes.strip_prefix(HEAD).map(codec::decode::<History>) {
            Some(Ok(history)) => return history.sane(unix_now),
            Some(Err(error)) => error.to_string(),
            None => "it is no history of this version".to_owned(),
        },
    };
    let aside = beside(path, "broken");
    let moved = fs::rename(path, &aside).is_ok();
    let aside = moved.then(|| aside.display().to_string());
    tracing::warn!(problem, path = %path.display(), aside, "cannot read the history: it begins anew");
    History::default()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
