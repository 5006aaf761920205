//! What jobs do to the process that runs them, and what their callers are told of it.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{self, Command};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, getpid, getppid, kill_process, pidfd_getfd,
    pidfd_open, setpgid,
};
use simple_dist::job;
use simple_dist_protocol::message::Answer;
use simple_dist_protocol::{JobId, codec};

use super::LIMIT;

/// Does so.
pub(crate) fn kill(how: String) -> u64 {
    let shell = |line: &str| Command::new("sh").args(["-c", line]).status().unwrap();
    match &*how {
        "loop" => {
            job::current().unwrap().progress(0.0, "it runs");
            loop {
                std::hint::spin_loop();
            }
        }
        "chatter" => loop {
            println!("again and again");
        },
        "hide" => {
            let other = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
            setpgid(None, Some(Pid::from_child(&other))).unwrap();
            thread::sleep(LIMIT);
        }
        "stop" => {
            kill_process(getpid(), Signal::STOP).unwrap();
            thread::sleep(LIMIT);
        }
        // Of a message that is longer than all that follows.
        "half" => write_to_parent(&1000_u32.to_le_bytes()),
        "allocate" => _ = std::hint::black_box(vec![1_u8; 4 << 30]),
        "hoard" => (0..4096).for_each(|_| std::mem::forget(vec![1_u8; 1 << 20])),
        "overflow" => _ = overflow(0),
        "abort" => process::abort(),
        "kill" => {
            kill_process(getpid(), Signal::KILL).unwrap();
            thread::sleep(LIMIT);
        }
        "exit" => process::exit(0),
        "exit elsewhere" => thread::spawn(|| process::exit(4)).join().unwrap(),
        "exec" => panic!("{}", Command::new("sleep").arg("1000").exec()),
        "sharp" => {
            let _sharp = Sharp;
            panic!("at first")
        }
        "mute" => {
            cut_sockets(is_to_parent);
            thread::sleep(LIMIT);
        }
        "cut" => {
            cut_sockets(|_| true);
            thread::sleep(LIMIT);
        }
        "garbage" => {
            write_to_parent(b"garbage");
            thread::sleep(LIMIT);
        }
        "print" => {
            let mebibyte = "x".repeat((1 << 20) - 1);
            (0..1024).for_each(|_| println!("{mebibyte}"));
        }
        "fork" => _ = shell("sleep 1000 &"),
        "daemon" => _ = shell("setsid sleep 1000 &"),
        "fork and exit" => {
            shell("sleep 1000 & setsid sleep 1000 &");
            process::exit(3)
        }
        "nothing" => {}
        "twice" => say_another_has_ended(),
        "panic later" => _ = thread::spawn(|| panic!("its job has ended")),
        "exit later" => {
            thread::spawn(|| {
                thread::sleep(Duration::from_millis(50));
                process::exit(0)
            });
        }
        other => panic!("{other}?"),
    }
    1
}

/// How the process of one ends: by which signal or with which code, what it prints last, and what else
/// is known, if anything.
pub(crate) type Killer = (&'static str, Option<i32>, Option<i32>, &'static str, &'static str);

/// What ends its process,
pub(crate) const KILLERS: [Killer; 11] = [
    ("overflow", Some(6), None, "has overflowed its stack", ""),
    ("abort", Some(6), None, "", ""),
    ("kill", Some(9), None, "", "by itself"),
    ("exit", None, Some(0), "", ""),
    ("exit elsewhere", None, Some(4), "", ""),
    ("exec", Some(9), None, "", "connection"),
    ("sharp", Some(6), None, "panic in a destructor during cleanup", ""),
    ("fork and exit", None, Some(3), "", ""),
    ("garbage", Some(9), None, "", "connection"),
    // Whoever is the first to see it.
    ("mute", None, None, "", "connection"),
    // What it ends of is not ours to say: its runtime panics, for one.
    ("cut", None, None, "", ""),
];
/// the same, where memory is limited,
pub(crate) const HOGS: [Killer; 2] = [
    ("allocate", Some(6), None, "memory allocation of 4294967296 bytes failed", "its limit"),
    ("hoard", Some(6), None, "memory allocation of 1048576 bytes failed", "its limit"),
];
/// what runs until it is killed,
pub(crate) const ENDLESS: [&str; 5] = ["loop", "chatter", "hide", "stop", "half"];
/// and what returns 1, whatever it leaves behind.
pub(crate) const HARMLESS: [&str; 5] = ["print", "fork", "daemon", "twice", "panic later"];

/// The process of a killer has ended as it does.
#[track_caller]
pub(crate) fn check_end(
    how: &str,
    end: (Option<i32>, Option<i32>),
    output: &str,
    note: Option<&str>,
) {
    let mut killers = KILLERS.iter().chain(&HOGS);
    let (_, signal, code, said, noted) = killers.find(|killer| killer.0 == how).unwrap();
    assert!(end == (*signal, *code) || matches!(how, "mute" | "cut"), "{how}: {end:?}, {output}");
    assert!(output.contains(said), "{how}: {output}");
    let is_noted = note.is_some_and(|note| !noted.is_empty() && note.contains(noted));
    assert!(is_noted || how == "cut" || (note.is_none() && noted.is_empty()), "{how}: {note:?}");
}

/// It panics when it is dropped.
struct Sharp;

impl Drop for Sharp {
    fn drop(&mut self) {
        panic!("and again");
    }
}

/// As a copy of the process does that has returned as well, whose parent reads that late.
fn say_another_has_ended() {
    #[derive(serde::Serialize)]
    enum OfWorker {
        Ran { number: u64, answer: Answer, took: Duration },
    }
    #[derive(serde::Serialize)]
    enum OfClient {
        Ran(JobId, Answer),
    }
    let answer = Answer::Value(codec::encode(&99_u64).unwrap().into());
    let news = match job::current().unwrap().attempt() {
        0 => codec::encode(&OfClient::Ran(JobId::new(), answer)),
        _ => codec::encode(&OfWorker::Ran { number: u64::MAX, answer, took: Duration::ZERO }),
    };
    let news = news.unwrap();
    let length = u32::try_from(news.len()).unwrap();
    write_to_parent(&[&length.to_le_bytes()[..], &news].concat());
}

fn write_to_parent(bytes: &[u8]) {
    let socket = sockets().find(is_to_parent).unwrap();
    (&socket).write_all(bytes).unwrap();
}

fn is_to_parent(socket: &UnixStream) -> bool {
    socket_peercred(socket).ok().map(|peer| peer.pid) == getppid()
}

/// As if these were closed.
fn cut_sockets(these: impl Fn(&UnixStream) -> bool) {
    for socket in sockets().filter(these) {
        let _no_socket = socket.shutdown(Shutdown::Both);
    }
}

/// All that this process has.
fn sockets() -> impl Iterator<Item = UnixStream> {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let copies = (0..64).map(move |it| pidfd_getfd(&this, it, PidfdGetfdFlags::empty()));
    copies.flatten().map(UnixStream::from)
}

#[expect(unconditional_recursion, reason = "to end the stack")]
fn overflow(depth: u64) -> u64 {
    std::hint::black_box(overflow(std::hint::black_box(depth) + 1)) + 1
}
