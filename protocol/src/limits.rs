//! All limits of simple-dist: sizes, counts and times, each with its reason.

use std::time::Duration;

/// The largest argument or value, in bytes of MessagePack.
pub const ARGUMENT_BYTES: usize = 8 * 1024 * 1024;
/// The most characters passed on of a panic's message, or of a description of an invalid argument:
/// both may quote what the caller sent.
pub const MESSAGE_CHARS: usize = 4096;
/// The most bytes of what a function says of its progress.
pub const PROGRESS_TEXT: usize = 200;
/// How many lines a worker shares of what its jobs print, and the most bytes of each: 4 KB in a beat.
pub const PRINTED_LINES: usize = 20;
/// See [`PRINTED_LINES`].
pub const PRINTED_BYTES: usize = 200;
/// How often a worker tells of the progress of a job, at most.
pub const PROGRESS_PAUSE: Duration = Duration::from_millis(250);
/// The deepest nesting of lists and maps in an argument, a value or a message.
pub const DEPTH: usize = 128;
/// The most jobs that one message carries.
pub const LIST_JOBS: usize = 256;
/// The most bytes of jobs in one message, unless it has a single larger one.
pub const LIST_BYTES: usize = 1024 * 1024;
/// The most measured run time in one message to a pool: longer jobs are never batched, since one
/// slot would run them in sequence while others idle.
pub const LIST_WORK: Duration = Duration::from_millis(10);
/// How long past its turn a job may wait in a list: one that waits longer is returned unstarted. A
/// list that was taken ahead to bridge a long way to the broker may wait for as long as that is.
pub const LIST_TIMEOUT: Duration = Duration::from_millis(100);
/// The measured work that a pool's queue holds beyond its slots, per slot.
pub const WINDOW_WORK: Duration = Duration::from_millis(20);
/// The longest round trip to the broker that is bridged, by what a worker takes ahead and by what a
/// pool's queue holds beside [`WINDOW_WORK`]: to the other side of the Earth.
pub const ROUND_TRIP: Duration = Duration::from_millis(500);
/// Jobs shorter than this count as short: a worker prefetches more of them, and no `Started` is
/// published for them.
pub const SHORT_JOB: Duration = Duration::from_millis(20);

/// The default timeout of a call.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// The longest timeout of a call.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// The highest priority; the lowest is 0.
pub const PRIORITY_MAX: u8 = 9;
/// The default priority of a call.
pub const PRIORITY_DEFAULT: u8 = 4;
/// The most marks and strikes of a job: attempts that came back or were lost with their worker.
pub const STRIKES: usize = 3;

/// How often workers and the active distributor send beats.
pub const BEAT: Duration = Duration::from_secs(1);
/// A worker whose beat is late by this much is probed.
pub const BEAT_LATE: Duration = Duration::from_millis(500);
/// A worker silent for this long is lost. One that is killed just after a beat is shown as lost
/// within 3 s, since the view is made every 0.25 s. The longest gap between two beats of a live
/// worker, on a machine with every core busy for a minute, was 1.02 s.
pub const WORKER_SILENCE: Duration = Duration::from_millis(2500);
/// The number of locks of the active distributor. A lock is stale while its node is down; a cluster
/// of seven nodes works with three of them down.
pub const LOCKS: usize = 4;
/// A distributor silent for this long is gone.
pub const SILENCE: Duration = Duration::from_secs(3);
/// If the leader does not receive its own heartbeat within this time, it neither declares workers
/// lost nor places jobs.
pub const ECHO: Duration = Duration::from_secs(1);
/// How long a new term listens to the workers before it places resent jobs: long enough for one
/// beat of each.
pub const TERM_LISTENS: Duration = Duration::from_millis(1500);
/// How long after an outage of the broker a previously served function is expected back.
pub const EXPECTED_BACK: Duration = Duration::from_secs(15);
/// How often placed jobs are compared with the beats.
pub const SWEEP: Duration = Duration::from_secs(1);
/// A placed job is missing if no beat names it that was made this long after its queue was seen
/// empty.
pub const SWEEP_AFTER: Duration = Duration::from_secs(1);
/// The same for a marked job, which is waited for longer because of its `Started`.
pub const SWEEP_MARKED_AFTER: Duration = Duration::from_secs(3);

/// A submission that was returned or refused is sent again after this time.
pub const RESEND: Duration = Duration::from_secs(2);
/// How often a client asks about its unanswered jobs.
pub const ASK: Duration = Duration::from_secs(15);
/// A link whose publishes stay unconfirmed for this long counts as unavailable.
pub const UNCONFIRMED: Duration = Duration::from_secs(1);
/// How often a client reports its local runs.
pub const REPORT: Duration = Duration::from_secs(5);

/// How long a message waits in the leader's queues: the client sends it again, and one that crashes
/// its reader is gone by then.
pub const LEADER_QUEUE_TTL: Duration = Duration::from_secs(10);
/// The most bytes waiting in each of the leader's queues.
pub const LEADER_QUEUE_BYTES: u64 = 1024 * 1024 * 1024;
/// The most unacked messages delivered to the distributor per queue; each may have
/// [`MESSAGE_BYTES`]. They are acked as soon as they are read, so few are enough to keep it busy.
pub const LEADER_QUEUE_PREFETCH: u16 = 32;
/// How much of what a child process printed is kept when it has crashed.
pub const CRASH_OUTPUT_BYTES: usize = 2048;
/// How long the queue of a will outlives its worker's link.
pub const WILL_EXPIRES: Duration = Duration::from_secs(10);
/// How often a will is renewed: brokers close a channel that holds a message for too long, half an
/// hour by default.
pub const WILL_RENEWED: Duration = Duration::from_secs(600);
/// How long the queue of a pool without workers is kept.
pub const POOL_EXPIRES: Duration = Duration::from_secs(3600);
/// How long a client's queue outlives its client.
pub const CLIENT_EXPIRES: Duration = Duration::from_secs(60);
/// The most bytes of answers waiting for a client that does not read.
pub const CLIENT_BYTES: u64 = 64 * 1024 * 1024;
/// The most bytes of answers in transit to all clients: beyond that they stay among the recent
/// answers, and the client asks again.
pub const OUTGOING_BYTES: usize = 256 * 1024 * 1024;
/// The largest beat accepted, in bytes.
pub const BEAT_BYTES: usize = 8 * 1024 * 1024;
/// How much is kept of what could not be decoded: messages and bytes.
pub const PARKED: (u64, u64) = (10_000, 64 * 1024 * 1024);
/// How often a quorum queue redelivers a message before it drops it.
pub const DELIVERY_LIMIT: u64 = 10;

/// The most unfinished jobs of a distributor, and the most bytes of their arguments.
pub const CAPACITY: (usize, usize) = (1_000_000, 1024 * 1024 * 1024);
/// The recent answers that a distributor keeps for jobs sent again: bytes and age.
pub const RECENT: (usize, Duration) = (32 * 1024 * 1024, Duration::from_secs(120));

/// The heartbeat of connections: a dead peer is noticed after two to three of them.
pub const HEARTBEAT: Duration = Duration::from_secs(4);
/// How long each step to a possibly absent broker may take: resolving, TCP, the answer to the
/// protocol header.
pub const PREFLIGHT: Duration = Duration::from_secs(3);
/// How long the broker may take for one operation: a connection, a declaration, a confirm.
pub const BROKER: Duration = Duration::from_secs(8);
/// The largest frame that we negotiate: RabbitMQ's default. The client library keeps 64 of them per
/// connection.
pub const FRAME_BYTES: u32 = 128 * 1024;
/// The largest message that is read: twice the largest argument, as the broker is configured. A
/// larger one arrives empty.
pub const MESSAGE_BYTES: u64 = 16 * 1024 * 1024;

const _: () = assert!(
    LEADER_QUEUE_PREFETCH as u64 * MESSAGE_BYTES <= 512 << 20,
    "docs/DEPLOYMENT.md says so"
);
