//! The bytes of every message, held in `wire.golden`: a change there is a change of the wire, and
//! old readers must still read it.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use simple_dist_protocol::message::{
    Answer, Answered, Answers, Bound, Control, Crash, Delivered, Deliveries, Delivery, End, Ended,
    FromClient, FromWorker, Held, Ids, Load, Marks, Memo, Minute, MinuteOf, Moment, Noted, Past,
    Place, Placement, Presence, Printed, Progress, Progressed, ProgressedJob, Report, Started,
    StartedJob, Submission, Submit, Will, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Address, Attempt, ClientId, DistributorId, Generation, JobId, JobKey, PoolId, Term, UserName,
    WorkerId, codec,
};

const GOLDEN: &str = include_str!("wire.golden");

/// Compares messages with the golden bytes, and keeps count of them.
#[derive(Default)]
struct Checked(BTreeSet<String>);

impl Checked {
    #[track_caller]
    fn message<T: Serialize + DeserializeOwned + PartialEq + Debug>(
        &mut self,
        name: &str,
        value: &T,
    ) {
        let bytes = codec::encode(value).unwrap();
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let line = format!("{name} {hex}");
        assert!(GOLDEN.lines().any(|golden| golden == line), "not in wire.golden:\n{line}");
        assert_eq!(&codec::decode::<T>(&bytes).unwrap(), value);
        self.0.insert(name.to_owned());
    }

    fn all(self) {
        let golden = GOLDEN.lines().filter(|line| !line.starts_with('#'));
        let names = golden.map(|line| line.split(' ').next().unwrap().to_owned());
        assert_eq!(self.0, names.collect::<BTreeSet<String>>());
    }
}

fn job() -> JobId {
    JobId::from_u128(0x1111)
}

fn client() -> ClientId {
    ClientId::from_u128(0x2222)
}

fn worker() -> WorkerId {
    WorkerId::from_u128(0x3333)
}

fn key() -> JobKey {
    JobKey { user: "ada".parse().unwrap(), id: job() }
}

fn attempt() -> Attempt {
    Attempt { term: Term(7), number: 1 }
}

fn fib() -> Address {
    "fib@1".parse().unwrap()
}

/// The argument 20 in MessagePack.
fn args() -> Bytes {
    Bytes::from_static(&[20])
}

fn marks() -> Marks {
    Marks { mark: true, strikes: vec![worker()], crashes: vec![] }
}

/// Where it panicked is known.
fn located() -> Answer {
    let location = Some("src/fib.rs:7:5".to_owned());
    Answer::Panicked { message: "why".to_owned(), unsendable: false, location }
}

fn progress() -> Progress {
    Progress::new(0.4, "row 40 of 100")
}

fn crash() -> Crash {
    Crash {
        worker: worker(),
        attempt: attempt(),
        signal: Some(11),
        code: None,
        memory_bytes: 4096,
        output: "stack overflow".to_owned(),
        note: None,
    }
}

fn submission() -> Submission {
    Submission {
        id: job(),
        function: "fib@1".to_owned(),
        args: args(),
        budget_ms: 60_000,
        priority: 4,
        marks: Marks::default(),
        trace: None,
        first: false,
        progress: false,
        has_fallback: false,
        fresh: false,
    }
}

fn submit(jobs: Vec<Submission>) -> FromClient {
    FromClient::Submit(Submit { client: client(), generation: Generation(1), jobs })
}

fn placement() -> Placement {
    Placement {
        key: key(),
        function: fib(),
        args: args(),
        budget_ms: 59_990,
        attempt: 1,
        start_confirmed: false,
        trace: None,
    }
}

fn answered(answer: Answer) -> Deliveries {
    deliveries(Delivered::Answer(Answered {
        answer,
        worker: Some(worker()),
        attempt: 1,
        waited_ms: 2,
        took_us: 300,
        bound: None,
        coalesced: false,
        memo_age_ms: None,
    }))
}

fn deliveries(body: Delivered) -> Deliveries {
    Deliveries { term: Term(7), jobs: vec![Delivery { id: job(), body }] }
}

fn ended(end: End) -> FromWorker {
    let jobs = vec![Ended { key: key(), attempt: attempt(), end, took_us: 300 }];
    FromWorker::Answers(Answers { worker: worker(), jobs })
}

#[test]
fn every_message_has_the_bytes_it_always_had() {
    let mut checked = Checked::default();
    from_client(&mut checked);
    to_client(&mut checked);
    to_everybody(&mut checked);
    to_and_from_workers(&mut checked);
    checked.all();
}

fn from_client(checked: &mut Checked) {
    checked.message("submit", &submit(vec![submission()]));
    let first = Submission { first: true, ..submission() };
    checked.message("submit-first", &submit(vec![first]));
    let has_fallback = Submission { has_fallback: true, ..submission() };
    checked.message("submit-fallback", &submit(vec![has_fallback]));
    let traced = Submission { marks: marks(), trace: Some("00-1-2-01".to_owned()), ..submission() };
    let wanted = Submission { progress: true, ..submission() };
    checked.message("submit-progress", &submit(vec![wanted]));
    let fresh = Submission { fresh: true, ..submission() };
    checked.message("submit-fresh", &submit(vec![fresh]));
    checked.message("submit-again", &submit(vec![traced]));
    let ids = Ids { client: client(), generation: Generation(1), ids: vec![job()] };
    checked.message("cancel", &FromClient::Cancel(ids.clone()));
    checked.message("ask", &FromClient::Ask(ids));
    let (client, generation) = (client(), Generation(1));
    let noted = Noted { client, generation, id: job(), marks: marks() };
    checked.message("noted", &FromClient::Noted(noted));
    let runs = BTreeMap::from([("unavailable".to_owned(), 3)]);
    let local = BTreeMap::from([("fib@1".to_owned(), runs)]);
    checked.message("report", &FromClient::Report(Report { client, local }));
}

fn to_client(checked: &mut Checked) {
    let message = || "why".to_owned();
    for answer in [
        Answer::Value(args()),
        Answer::Failed { message: message(), error: args() },
        Answer::panicked(message()),
        Answer::unsendable(message()),
        Answer::Poisoned { workers: vec![worker()], crashes: vec![] },
        Answer::NotServed,
        Answer::BadArguments { message: message() },
        Answer::TooLarge { bytes: 9_000_000, limit: 8_388_608 },
        Answer::Busy,
        Answer::Cancelled,
        Answer::Expired,
    ] {
        checked.message(&format!("delivery-{}", answer.kind()), &answered(answer));
    }
    let full = Answered {
        answer: Answer::Busy,
        worker: None,
        attempt: 0,
        waited_ms: 0,
        took_us: 0,
        bound: Some(Bound::Jobs),
        coalesced: false,
        memo_age_ms: None,
    };
    let mut coalesced = answered(Answer::Value(args()));
    let Delivered::Answer(shared) = &mut coalesced.jobs[0].body else { panic!("an answer") };
    shared.coalesced = true;
    checked.message("delivery-coalesced", &coalesced);
    let mut kept = answered(Answer::Value(args()));
    let Delivered::Answer(answer) = &mut kept.jobs[0].body else { panic!("an answer") };
    answer.memo_age_ms = Some(5000);
    checked.message("delivery-memo", &kept);
    checked.message("delivery-busy-bound", &deliveries(Delivered::Answer(full)));
    checked.message("delivery-struck", &deliveries(Delivered::Struck(marks())));
    let crashes = vec![crash()];
    let poisoned = Answer::Poisoned { workers: vec![], crashes: crashes.clone() };
    checked.message("delivery-poisoned-crashes", &answered(poisoned));
    let struck = Marks { crashes, ..Marks::default() };
    checked.message("delivery-struck-crash", &deliveries(Delivered::Struck(struck)));
    checked.message("delivery-unknown", &deliveries(Delivered::Unknown));
    checked.message("delivery-progress", &deliveries(Delivered::Progress(progress())));
}

fn to_everybody(checked: &mut Checked) {
    let presence = Presence {
        distributor: DistributorId::from_u128(0x4444),
        term: Term(7),
        seq: 5,
        functions: vec![fib()],
        expected: vec![],
        backlog: 12,
        room: true,
        bound: None,
        past: None,
    };
    checked.message("presence", &presence);
    let second = Moment {
        unix: 1_800_000_059,
        done: 70_000,
        queued: 3,
        busy: 2,
        slots: 4,
        ..Moment::default()
    };
    let slow =
        MinuteOf { function: "fib@1".into(), ended: 9, failed: 1, wait_us: 40, run_us: 1_200_000 };
    let minute =
        Minute { all: Moment { unix: 1_800_000_000, ..second }, run_us: 7, functions: vec![slow] };
    let past = Past { seconds: vec![second], minute: Some(minute) };
    checked.message("presence-past", &Presence { past: Some(past), ..presence.clone() });
    let expecting = Presence { functions: vec![], expected: vec![fib()], ..presence };
    checked.message("presence-expected", &expecting);
}

fn to_and_from_workers(checked: &mut Checked) {
    let seal = Bytes::from_static(&[9; 32]);
    checked.message("will", &Will { worker: worker(), generation: Generation(2), seal });
    checked.message("place", &Place { term: Term(7), jobs: vec![placement()] });
    let marked =
        Placement { start_confirmed: true, trace: Some("00-1-2-01".to_owned()), ..placement() };
    checked.message("place-marked", &Place { term: Term(7), jobs: vec![marked] });
    let of_http = JobKey { user: UserName::http(), id: job() };
    let called = Placement { key: of_http, ..placement() };
    checked.message("place-http", &Place { term: Term(7), jobs: vec![called] });
    checked.message("answers-value", &ended(End::Answer(Answer::Value(args()))));
    checked.message("answers-panicked-at", &ended(End::Answer(located())));
    checked.message("answers-returned", &ended(End::Returned { willing: true }));
    let note = Some("it reached its limit".to_owned());
    let exited = Crash { signal: None, code: Some(1), note, ..crash() };
    checked.message("answers-crashed", &ended(End::Crashed(crash())));
    checked.message("answers-exited", &ended(End::Crashed(exited)));
    let jobs = vec![StartedJob { key: key(), attempt: attempt() }];
    checked.message("started", &FromWorker::Started(Started { worker: worker(), seq: 9, jobs }));
    let job = ProgressedJob { key: key(), attempt: attempt(), progress: progress() };
    let progressed = Progressed { worker: worker(), jobs: vec![job] };
    checked.message("progress", &FromWorker::Progress(progressed));
    beats(checked);
    control(checked);
}

fn beats(checked: &mut Checked) {
    let beat = |state, slot, leaves| {
        let held = Held { key: key(), function: fib(), attempt: attempt(), slot, age_ms: 40 };
        FromWorker::Beat(Box::new(WorkerBeat {
            worker: worker(),
            seq: 9,
            generation: Generation(2),
            host: "host".to_owned(),
            version: "0.1.0".to_owned(),
            functions: vec![fib()],
            slots: 8,
            state,
            held: vec![held],
            isolated: false,
            term: None,
            leaves,
            deterministic: vec![],
            load: None,
            memo: vec![],
            round_trip_us: None,
            printed: vec![],
        }))
    };
    checked.message("beat", &beat(WorkerState::Live, Some(0), false));
    let isolated = |beat: FromWorker| match beat {
        FromWorker::Beat(beat) => {
            FromWorker::Beat(Box::new(WorkerBeat { isolated: true, ..*beat }))
        }
        other => other,
    };
    let isolated = isolated(beat(WorkerState::Live, Some(0), false));
    checked.message("beat-isolated", &isolated);
    let FromWorker::Beat(isolated) = isolated else { panic!("it is a beat") };
    let of = |beat: &WorkerBeat| FromWorker::Beat(Box::new(beat.clone()));
    let welcomed = WorkerBeat { term: Some(Term(7)), ..*isolated };
    checked.message("beat-welcomed", &of(&welcomed));
    let deterministic = WorkerBeat { deterministic: vec![fib()], ..welcomed };
    checked.message("beat-deterministic", &of(&deterministic));
    let (memory, memory_total, resident) = (3 << 30, 16 << 30, 64 << 20);
    let load = Load { cpu: 0.25, average: 1.5, memory, memory_total, resident };
    let loaded = WorkerBeat { load: Some(load), ..deterministic.clone() };
    checked.message("beat-load", &of(&loaded));
    let memo = vec![Memo { function: fib(), ttl_ms: 60_000, bytes: 1_048_576 }];
    checked.message("beat-memo", &of(&WorkerBeat { memo, ..deterministic.clone() }));
    let printed = vec![Printed::new(job(), fib(), "row 3")];
    let printed = WorkerBeat { printed, ..deterministic.clone() };
    checked.message("beat-printed", &of(&printed));
    let far = WorkerBeat { round_trip_us: Some(80_000), ..deterministic };
    checked.message("beat-far", &of(&far));
    checked.message("beat-draining", &beat(WorkerState::Draining, None, false));
    checked.message("beat-leaving", &beat(WorkerState::Draining, None, true));
}

fn control(checked: &mut Checked) {
    let pool = PoolId::of(&[fib()], false);
    checked.message("control-welcome", &Control::Welcome { term: Term(7), pool });
    let cancel = |attempts| Control::Cancel { keys: vec![key()], attempts };
    checked.message("control-cancel", &cancel(vec![]));
    checked.message("control-cancel-attempts", &cancel(vec![attempt()]));
    checked.message("control-drain", &Control::Drain);
    checked.message("control-resume", &Control::Resume);
    checked.message("control-probe", &Control::Probe);
    checked.message("control-refused", &Control::Refused { bound: Bound::Workers });
}

/// These bytes with a field more in the map that is their last `length` bytes.
fn with_unknown_field(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let map = bytes.len() - length;
    assert!((0x80..0x8f).contains(&bytes[map]), "a map of at most 14 fields");
    bytes[map] += 1;
    bytes.extend(codec::encode("later").unwrap());
    bytes.extend(codec::encode(&vec![1, 2, 3]).unwrap());
    bytes
}

#[track_caller]
fn tolerant<M, I>(message: &M, last: &I)
where
    M: Serialize + DeserializeOwned + PartialEq + Debug,
    I: Serialize,
{
    let newer =
        with_unknown_field(&codec::encode(message).unwrap(), codec::encode(last).unwrap().len());
    assert_eq!(&codec::decode::<M>(&newer).unwrap(), message);
}

#[test]
fn an_old_reader_reads_new_fields() {
    tolerant(&submit(vec![submission()]), &submission());
    let FromClient::Submit(inner) = submit(vec![submission()]) else { unreachable!() };
    tolerant(&FromClient::Submit(inner.clone()), &inner);
    let place = Place { term: Term(7), jobs: vec![placement()] };
    tolerant(&place, &placement());
    tolerant(&place, &place);
    let news = deliveries(Delivered::Struck(marks()));
    tolerant(&news, &marks());
    tolerant(&news, &news.jobs[0]);
    tolerant(&news, &news);
    let FromWorker::Answers(answers) = ended(End::Returned { willing: false }) else {
        unreachable!()
    };
    tolerant(&FromWorker::Answers(answers.clone()), &answers.jobs[0]);
    tolerant(&FromWorker::Answers(answers.clone()), &answers);
}

/// Who knows neither errors of functions nor values that cannot be sent takes both for a panic,
/// which says so.
#[test]
fn an_old_reader_of_a_new_kind_of_answer_reads_a_panic() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    enum OldAnswer {
        Panicked { message: String },
    }
    let message = || "why".to_owned();
    for answer in [
        Answer::unsendable(message()),
        located(),
        Answer::Failed { message: message(), error: args() },
    ] {
        let old = codec::decode::<OldAnswer>(&codec::encode(&answer).unwrap()).unwrap();
        assert_eq!(old, OldAnswer::Panicked { message: message() });
    }
    #[derive(Serialize)]
    enum OldWorker {
        Panicked { message: String },
    }
    let old = codec::encode(&OldWorker::Panicked { message: message() }).unwrap();
    assert_eq!(codec::decode::<Answer>(&old).unwrap(), Answer::panicked(message()));
}

#[test]
fn a_bound_of_another_name_is_still_a_bound() {
    let bound: Bound = codec::decode(&codec::encode(&"moons").unwrap()).unwrap();
    assert_eq!(bound, Bound::Other);
}

#[test]
fn a_new_reader_reads_what_had_fewer_fields() {
    #[derive(Serialize)]
    struct OldSubmission {
        id: JobId,
        function: String,
        args: Bytes,
        budget_ms: u64,
        priority: u8,
    }
    let Submission { id, function, args, budget_ms, priority, .. } = submission();
    let old = codec::encode(&OldSubmission { id, function, args, budget_ms, priority }).unwrap();
    assert_eq!(codec::decode::<Submission>(&old).unwrap(), submission());

    #[derive(Serialize)]
    struct OldPlacement {
        key: JobKey,
        function: Address,
        args: Bytes,
        budget_ms: u64,
        attempt: u32,
    }
    let Placement { key, function, args, budget_ms, attempt, .. } = placement();
    let old = codec::encode(&OldPlacement { key, function, args, budget_ms, attempt }).unwrap();
    assert_eq!(codec::decode::<Placement>(&old).unwrap(), placement());

    #[derive(Serialize)]
    struct OldAnswered {
        answer: Answer,
    }
    let old = codec::encode(&OldAnswered { answer: Answer::Busy }).unwrap();
    let answered = codec::decode::<Answered>(&old).unwrap();
    assert_eq!((answered.answer, answered.worker, answered.attempt), (Answer::Busy, None, 0));
}

#[test]
fn a_list_may_be_written_first() {
    #[derive(Serialize)]
    enum Backwards {
        Ask { ids: Vec<JobId>, generation: Generation, client: ClientId },
    }
    let (client, generation) = (client(), Generation(1));
    let bytes = codec::encode(&Backwards::Ask { ids: vec![job()], generation, client }).unwrap();
    let ask = FromClient::Ask(Ids { client, generation, ids: vec![job()] });
    assert_eq!(codec::decode::<FromClient>(&bytes).unwrap(), ask);
}
