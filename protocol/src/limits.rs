//! The numbers that bound everything: sizes, counts and times, each with its reason.

use std::time::Duration;

/// The largest argument or value, in bytes of MessagePack.
pub const ARGUMENT_BYTES: usize = 8 * 1024 * 1024;
/// The most characters of a panic's message, or of what is wrong with an argument, that are passed
/// on: both may quote what the caller sent.
pub const MESSAGE_CHARS: usize = 4096;
/// The deepest nesting of lists and maps in an argument, a value or a message.
pub const DEPTH: usize = 128;
/// The most jobs that one message carries.
pub const LIST_JOBS: usize = 256;
/// The most bytes of jobs that one message carries, unless it carries one large job alone.
pub const LIST_BYTES: usize = 1024 * 1024;
/// The most measured run time that one message to a pool carries: longer jobs are never lumped
/// together, where one slot would run them in a row while others idle.
pub const LIST_WORK: Duration = Duration::from_millis(10);
/// What a list holds back past its turn: what waits longer is handed back unstarted.
pub const LIST_PATIENCE: Duration = Duration::from_millis(100);
/// The measured work that a pool's queue holds beyond its slots.
pub const WINDOW_WORK: Duration = Duration::from_millis(20);
/// Jobs of less than this are short: a worker looks ahead by a second prefetch, and no `Started`
/// is published for them.
pub const SHORT_JOB: Duration = Duration::from_millis(20);

/// A call's time when the caller names none.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// The longest time of a call.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// The highest priority; the lowest is 0.
pub const PRIORITY_MAX: u8 = 9;
/// The priority of a call when the caller names none.
pub const PRIORITY_DEFAULT: u8 = 4;
/// What a job may cost: attempts that came back or were lost with their worker.
pub const STRIKES: usize = 3;

/// How often workers and the active distributor say how they are.
pub const BEAT: Duration = Duration::from_secs(1);
/// A worker whose beat is late by this is probed.
pub const BEAT_LATE: Duration = Duration::from_millis(500);
/// A worker silent for this long is lost. One that is killed just after a beat is shown lost a view
/// later, 0.25 s: within 3 s. The longest gap between two beats of a live one, on a machine with
/// every core busy for a minute, was 1.02 s.
pub const WORKER_SILENCE: Duration = Duration::from_millis(2500);
/// How many locks of the active distributor there are. Each that is stale is of a node that is
/// down; a cluster of seven nodes works with three of them down.
pub const LOCKS: usize = 4;
/// A distributor silent for this long is gone.
pub const SILENCE: Duration = Duration::from_secs(3);
/// If the leader does not receive its own heartbeat within this time, it neither declares workers
/// lost nor places jobs.
pub const ECHO: Duration = Duration::from_secs(1);
/// How long a new term listens to the workers before it places jobs: every beat came once.
pub const TERM_LISTENS: Duration = Duration::from_millis(1500);
/// How long a function that was served before an outage of the broker is expected back.
pub const EXPECTED_BACK: Duration = Duration::from_secs(15);
/// How often placed jobs are held against the beats.
pub const SWEEP: Duration = Duration::from_secs(1);
/// A placed job that no beat made this long after its queue was seen empty names is gone.
pub const SWEEP_AFTER: Duration = Duration::from_secs(1);
/// The same for a marked job, whose `Started` is waited for.
pub const SWEEP_MARKED_AFTER: Duration = Duration::from_secs(3);

/// A submission that came back or was refused is sent again after this time.
pub const RESEND: Duration = Duration::from_secs(2);
/// How often a client asks after what is outstanding.
pub const ASK: Duration = Duration::from_secs(15);
/// A link whose publishes stay unconfirmed for this long is no longer relied on.
pub const UNCONFIRMED: Duration = Duration::from_secs(1);
/// How often a client reports what it ran itself.
pub const REPORT: Duration = Duration::from_secs(5);

/// How long a message waits in the distributor's intakes: the client sends it again, and one that
/// kills whoever reads it is gone by then.
pub const INTAKE_TTL: Duration = Duration::from_secs(10);
/// The bytes that may wait in each of the distributor's intakes.
pub const INTAKE_BYTES: u64 = 1024 * 1024 * 1024;
/// Messages delivered to the distributor and not yet acked, per intake: each may have
/// [`MESSAGE_BYTES`]. They are acked as soon as they are read, so few are enough to keep it busy.
pub const INTAKE_PREFETCH: u16 = 32;
/// How long the queue of a pool without workers is kept.
pub const POOL_EXPIRES: Duration = Duration::from_secs(3600);
/// How long a client's queue outlives its client.
pub const CLIENT_EXPIRES: Duration = Duration::from_secs(60);
/// The bytes of answers that wait for a client that does not read.
pub const CLIENT_BYTES: u64 = 64 * 1024 * 1024;
/// The bytes of answers that a distributor has on their way to all clients: what is beyond is kept
/// with the recent answers, and the client asks again.
pub const OUTGOING_BYTES: usize = 256 * 1024 * 1024;
/// The largest beat that is read.
pub const BEAT_BYTES: usize = 8 * 1024 * 1024;
/// What could not be decoded is kept for a person to look at: messages, and bytes.
pub const PARKED: (u64, u64) = (10_000, 64 * 1024 * 1024);
/// How often a quorum queue hands out a message again before it gives it up.
pub const DELIVERY_LIMIT: u64 = 10;

/// The jobs that a distributor holds at once, and the bytes of their arguments.
pub const LEDGER: (usize, usize) = (1_000_000, 1024 * 1024 * 1024);
/// The recent answers that a distributor keeps for jobs sent again: bytes and age.
pub const RECENT: (usize, Duration) = (256 * 1024 * 1024, Duration::from_secs(120));

/// Heartbeats of connections: a dead peer is found after two to three of them.
pub const HEARTBEAT: Duration = Duration::from_secs(4);
/// The wait for each step to a broker that is not known to be there: its name, TCP, the answer to
/// the protocol header.
pub const PREFLIGHT: Duration = Duration::from_secs(3);
/// The wait for anything of the broker: a connection, a declaration, a confirm.
pub const BROKER: Duration = Duration::from_secs(8);
/// The largest frame that we agree to: RabbitMQ's default. The client library holds 64 of them for
/// each connection.
pub const FRAME_BYTES: u32 = 128 * 1024;
/// The largest message that is read: twice the largest argument, as the broker is configured. One
/// that is larger arrives empty.
pub const MESSAGE_BYTES: u64 = 16 * 1024 * 1024;

const _: () =
    assert!(INTAKE_PREFETCH as u64 * MESSAGE_BYTES <= 512 << 20, "docs/DEPLOYMENT.md says so");
