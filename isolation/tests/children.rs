//! Real children. This program is executed again as such, so it has a `main` of its own.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::exit,
    clippy::zombie_processes,
    reason = "a test's children do as they like"
)]

use std::env;
use std::io::{BufRead as _, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, getpid, kill_process, pidfd_getfd, pidfd_open,
    setpgid, test_kill_process,
};
use serde::{Deserialize, Serialize};
use simple_dist_isolation::inside::{self, Reached};
use simple_dist_isolation::{Child, Gone, Happening, Limits, Spec, StartError, Waker};

/// What a child is told to do.
#[derive(Debug, Serialize, Deserialize)]
enum Action {
    /// To say this.
    Say(Vec<u8>),
    /// To print so many lines, and then say that it has.
    Print(usize),
    Exit(i32),
    /// To say that it exits, and do so a little later, without reading more.
    Leave,
    Abort,
    Overflow(u64),
    Allocate(usize),
    /// To use the processor for ever.
    Spin,
    /// To leave a process behind that keeps everything open, and exit.
    Fork,
    /// To leave one behind in a session of its own, to say which, and exit.
    Daemon,
    /// To print for ever.
    Chatter,
    /// To go to its parent's process group, and say so.
    Hide,
    /// To stop, as by Ctrl-Z.
    Stop,
    /// To cut the connection, and then to say something.
    Cut,
    Descriptors,
    /// Whether a process that it starts takes itself for a child; and this variable.
    Describe(String),
}

const LIMITS: Limits = Limits {
    memory: Some(256 << 20),
    cpu_time: Some(Duration::from_millis(900)),
    open_files: Some(32),
};

fn main() {
    if env::args().any(|argument| argument == "--describe") {
        return println!("{}", inside::is_child());
    }
    match env::var("TEST_MAIN").as_deref() {
        Ok("never") if inside::is_child() => std::thread::sleep(Duration::from_secs(60)),
        Ok("ends") if inside::is_child() => {
            println!("no way");
            std::process::exit(3)
        }
        _ => {}
    }
    match inside::reach("here", LIMITS).unwrap() {
        Reached::Here(parent) => serve(parent),
        Reached::Free => test_all(),
        Reached::Other | Reached::Again => panic!("another place"),
    }
}

fn serve(parent: inside::Parent) {
    assert!(matches!(inside::reach("here", LIMITS).unwrap(), Reached::Again));
    assert!(matches!(inside::reach("there", LIMITS).unwrap(), Reached::Other));
    let (sender, mut receiver) = parent.ready().unwrap();
    while let Some(action) = receiver.receive() {
        sender.begin_job();
        let said = match action {
            Action::Say(words) => words,
            Action::Print(lines) => {
                (0..lines).for_each(|line| println!("line {line}"));
                vec![]
            }
            Action::Exit(code) => std::process::exit(code),
            Action::Leave => {
                sender.send(&b"bye".to_vec());
                std::thread::sleep(Duration::from_millis(300));
                std::process::exit(0)
            }
            Action::Abort => std::process::abort(),
            Action::Overflow(depth) => overflow(depth).to_le_bytes().into(),
            Action::Allocate(bytes) => vec![1; bytes],
            Action::Spin => loop {
                std::hint::spin_loop();
            },
            Action::Fork => {
                Command::new("sleep").arg("1000").spawn().unwrap();
                std::process::exit(0)
            }
            Action::Daemon => {
                let shell = "setsid sleep 1000 & echo $!; wait";
                let started = Command::new("sh").args(["-c", shell]).stdout(Stdio::piped()).spawn();
                let mut pid = String::new();
                let output = started.unwrap().stdout.unwrap();
                BufReader::new(output).read_line(&mut pid).unwrap();
                sender.send(&pid.trim().as_bytes().to_vec());
                receiver.receive::<Action>();
                std::process::exit(0)
            }
            Action::Chatter => loop {
                println!("again and again");
            },
            Action::Hide => {
                let other = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
                setpgid(None, Some(Pid::from_child(&other))).unwrap();
                vec![]
            }
            Action::Stop => {
                kill_process(getpid(), Signal::STOP).unwrap();
                vec![]
            }
            Action::Cut => {
                let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
                let copies = (0..32).map(|it| pidfd_getfd(&this, it, PidfdGetfdFlags::empty()));
                for socket in copies.flatten().map(UnixStream::from) {
                    let _no_socket = socket.shutdown(Shutdown::Both);
                }
                vec![]
            }
            Action::Descriptors => {
                let opened = (0..100).map_while(|_| std::fs::File::open("/dev/null").ok());
                opened.collect::<Vec<_>>().len().to_le_bytes().into()
            }
            Action::Describe(name) => {
                let program = env::current_exe().unwrap();
                let output = Command::new(program).arg("--describe").output().unwrap();
                let said = String::from_utf8(output.stdout).unwrap();
                format!("{} {:?}", said.trim(), env::var(name).ok()).into()
            }
        };
        sender.send(&said);
    }
}

#[expect(unconditional_recursion, reason = "to end the stack")]
fn overflow(depth: u64) -> u64 {
    std::hint::black_box(overflow(std::hint::black_box(depth) + 1)) + 1
}

fn test_all() {
    let tests: [(&str, fn()); 12] = [
        ("what_is_sent_comes_back_however_large", what_is_sent_comes_back_however_large),
        ("each_death_is_told_apart", each_death_is_told_apart),
        ("a_job_that_was_not_read_is_known", a_job_that_was_not_read_is_known),
        ("limits_hold", limits_hold),
        (
            "what_is_printed_is_seen_before_what_is_said",
            what_is_printed_is_seen_before_what_is_said,
        ),
        ("a_child_is_killed_with_what_it_started", a_child_is_killed_with_what_it_started),
        (
            "what_has_begun_a_session_of_its_own_is_killed_too",
            what_has_begun_a_session_is_killed_too,
        ),
        ("one_that_has_left_its_group_is_killed", one_that_has_left_its_group_is_killed),
        (
            "what_prints_or_stands_still_holds_nobody_up",
            what_prints_or_stands_still_holds_nobody_up,
        ),
        ("what_a_child_starts_is_no_child", what_a_child_starts_is_no_child),
        ("a_child_that_does_not_arrive_is_an_error", a_child_that_does_not_arrive_is_an_error),
        ("a_child_dies_with_the_thread_that_started_it", a_child_dies_with_its_thread),
    ];
    let wanted = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if wanted.as_deref() == Some("figures") {
        return print_figures();
    }
    // What hangs is red.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(180));
        println!("it takes too long");
        std::process::exit(1)
    });
    for (name, test) in tests {
        if wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str())) {
            print!("test {name} ... ");
            test();
            println!("ok");
        }
    }
}

/// What a child costs: `cargo test -p simple-dist-isolation --release -- figures`.
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn print_figures() {
    let began = std::time::Instant::now();
    for _ in 0..100 {
        start(&[]).unwrap().kill();
    }
    println!("a child is ready after {:?}", began.elapsed() / 100);
    let mut site = Site::new();
    let began = std::time::Instant::now();
    for _ in 0..10_000 {
        site.says(&Action::Say(vec![]));
    }
    println!("a job takes {:?} there and back", began.elapsed() / 10_000);
}

struct Site {
    child: Child,
    waker: Waker,
    printed: Vec<String>,
}

impl Site {
    fn new() -> Self {
        let waker = Waker::new().unwrap();
        Self { child: start(&[]).unwrap(), waker, printed: vec![] }
    }

    fn send(&mut self, action: &Action) -> Result<(), Gone> {
        self.child.send(action, &self.waker, || true)
    }

    fn next(&mut self) -> Happening<Vec<u8>> {
        let Self { child, waker, printed } = self;
        child.next(waker, Some(Duration::from_secs(20)), &mut |line| printed.push(line.to_owned()))
    }

    #[track_caller]
    fn says(&mut self, action: &Action) -> Vec<u8> {
        self.send(action).unwrap();
        match self.next() {
            Happening::Message(said) => said,
            other => panic!("{other:?}, printed {:?}", self.printed),
        }
    }

    #[track_caller]
    fn dies(mut self, action: &Action) -> simple_dist_isolation::Death {
        self.send(action).unwrap();
        let happening = self.next();
        assert!(matches!(happening, Happening::Ended), "{happening:?}");
        self.child.end()
    }
}

fn start(with: &[(&str, &str)]) -> Result<Child, StartError> {
    let with = with.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let spec = Spec { name: "here".to_owned(), without: vec!["PATH_OF_TEST".to_owned()], with };
    Child::start(&spec, &Waker::new().unwrap(), || true)
}

fn what_is_sent_comes_back_however_large() {
    let mut site = Site::new();
    for length in [0, 1, 100_000, 8 << 20] {
        let words = vec![7; length];
        assert_eq!(site.says(&Action::Say(words.clone())), words);
    }
}

fn each_death_is_told_apart() {
    for (action, signal, code, printed) in [
        (Action::Exit(0), None, Some(0), ""),
        (Action::Exit(7), None, Some(7), ""),
        (Action::Abort, Some(6), None, ""),
        (Action::Cut, Some(16), None, ""),
        (Action::Overflow(0), Some(6), None, "has overflowed its stack"),
        (Action::Allocate(4 << 30), Some(6), None, "memory allocation of 4294967296 bytes failed"),
    ] {
        let death = Site::new().dies(&action);
        assert_eq!((death.signal, death.code), (signal, code), "{action:?}: {death:?}");
        assert!(death.output.contains(printed) && !death.is_unread, "{action:?}: {death:?}");
        let is_noted = matches!(action, Action::Cut | Action::Allocate(_));
        assert_eq!(death.note(&LIMITS).is_some(), is_noted, "{action:?}: {death:?}");
    }
}

fn a_job_that_was_not_read_is_known() {
    let mut site = Site::new();
    site.says(&Action::Leave);
    // On a machine that takes its time it is gone already.
    let sent = site.send(&Action::Say(vec![1]));
    assert!(matches!(site.next(), Happening::Ended));
    assert!(sent == Err(Gone) || site.child.end().is_unread);
    let mut site = Site::new();
    site.send(&Action::Exit(0)).unwrap();
    assert!(matches!(site.next(), Happening::Ended));
    assert_eq!(site.send(&Action::Say(vec![1])), Err(Gone));
}

fn limits_hold() {
    let mut site = Site::new();
    let opened = usize::from_le_bytes(site.says(&Action::Descriptors).try_into().unwrap());
    assert!((16..32).contains(&opened), "{opened}");
    assert_eq!(site.says(&Action::Allocate(4 << 20)).len(), 4 << 20);
    let death = site.dies(&Action::Spin);
    assert_eq!(death.signal, Some(24), "{death:?}");
}

fn what_is_printed_is_seen_before_what_is_said() {
    let mut site = Site::new();
    for lines in [1, 100, 3] {
        site.says(&Action::Print(lines));
        let expected: Vec<String> = (0..lines).map(|line| format!("line {line}")).collect();
        assert_eq!(std::mem::take(&mut site.printed), expected);
    }
    site.says(&Action::Print(1_000_000));
    assert!(site.printed.len() < 20_000, "{}", site.printed.len());
}

fn a_child_is_killed_with_what_it_started() {
    let group = |pid: u32| {
        let list = Command::new("ps").args(["-eo", "pgid=,stat="]).output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        let ours = |line: &&str| line.trim().starts_with(&format!("{pid} "));
        list.lines().filter(ours).filter(|line| !line.contains('Z')).count()
    };
    // The signal is on its way when the child's end is known.
    let is_gone = |pid: u32| {
        let ended = (0..1000).any(|_| {
            let is_gone = group(pid) == 0;
            if !is_gone {
                std::thread::sleep(Duration::from_millis(10));
            }
            is_gone
        });
        assert!(ended, "the group of {pid} goes on");
    };
    let site = Site::new();
    let pid = site.child.id();
    assert_eq!(group(pid), 1);
    let death = site.dies(&Action::Fork);
    assert_eq!(death.code, Some(0));
    is_gone(pid);
    let site = Site::new();
    let pid = site.child.id();
    site.child.kill();
    assert_eq!(site.child.end().signal, Some(9));
    is_gone(pid);
    let mut site = Site::new();
    let pid = site.child.id();
    site.says(&Action::Say(vec![]));
    site.child.close(Duration::from_secs(10));
    is_gone(pid);
}

fn what_has_begun_a_session_is_killed_too() {
    for exits in [true, false] {
        let mut site = Site::new();
        let said = String::from_utf8(site.says(&Action::Daemon)).unwrap();
        let pid = said.parse().ok().and_then(Pid::from_raw).unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{said}/stat")).unwrap_or_default();
        // Asked of its file: a session that began outside of the container has no id here.
        while stat().split(' ').nth(5) != Some(said.as_str()) {
            std::thread::yield_now();
        }
        if exits {
            let death = site.dies(&Action::Exit(0));
            assert_eq!(death.code, Some(0));
        } else {
            drop(site);
        }
        // Whoever has it now may take its time to say that it has ended.
        while test_kill_process(pid).is_ok() && !stat().contains(") Z ") {
            std::thread::yield_now();
        }
    }
}

fn one_that_has_left_its_group_is_killed() {
    let mut site = Site::new();
    site.says(&Action::Hide);
    let pid = Pid::from_raw(site.child.id().try_into().unwrap()).unwrap();
    site.child.kill();
    assert_eq!(site.child.end().signal, Some(9));
    assert!(test_kill_process(pid).is_err(), "it is reaped");
}

fn what_prints_or_stands_still_holds_nobody_up() {
    let (waker, most) = (Waker::new().unwrap(), Some(Duration::from_millis(50)));
    let mut child = start(&[]).unwrap();
    child.send(&Action::Chatter, &waker, || true).unwrap();
    let happening = child.next::<Vec<u8>>(&waker, most, &mut |_| {});
    assert!(matches!(happening, Happening::Nothing), "{happening:?}");
    let mut child = start(&[]).unwrap();
    child.send(&Action::Stop, &waker, || true).unwrap();
    let mut looks = 0;
    let sent = child.send(&Action::Say(vec![0; 8 << 20]), &waker, || {
        looks += 1;
        looks < 3
    });
    assert_eq!((sent, looks), (Err(Gone), 3));
}

fn what_a_child_starts_is_no_child() {
    let mut child = start(&[("TEST_VARIABLE", "of the child")]).unwrap();
    let waker = Waker::new().unwrap();
    child.send(&Action::Describe("TEST_VARIABLE".to_owned()), &waker, || true).unwrap();
    let Happening::Message::<Vec<u8>>(said) = child.next(&waker, None, &mut |_| {}) else {
        panic!("it says nothing")
    };
    assert_eq!(String::from_utf8(said).unwrap(), r#"false Some("of the child")"#);
}

fn a_child_that_does_not_arrive_is_an_error() {
    let ended = start(&[("TEST_MAIN", "ends")]).unwrap_err();
    let StartError::Ended(death) = &ended else { panic!("{ended:?}") };
    assert_eq!((death.code, &*death.output), (Some(3), "no way"));
    let late = start(&[("TEST_MAIN", "never")]).unwrap_err();
    assert!(matches!(late, StartError::Late(_)), "{late:?}");
    let (waker, spec) =
        (Waker::new().unwrap(), Spec { name: "here".to_owned(), ..Spec::default() });
    waker.wake();
    let unwanted = Child::start(&spec, &waker, || false).unwrap_err();
    assert!(matches!(unwanted, StartError::Unwanted), "{unwanted:?}");
}

fn a_child_dies_with_its_thread() {
    let child = std::thread::spawn(|| start(&[]).unwrap()).join().unwrap();
    assert_eq!(child.end().signal, Some(9));
}
