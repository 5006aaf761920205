//! One live generation of a link: it owns the connections, their channels and consumers, and all
//! tasks on them.

use std::sync::Arc;

use lapin::Channel;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::acks::{Acker, Receipts};
use super::answer::{AnswerTimeout, FaultSender};
use super::connection::Broker;
use super::consumer::{Consumers, Granted};
use super::event::Event;
use super::outgoing::Queue;
use super::publisher::{Largest, Publisher};
use super::questions::{Ended, Questions, answer};
use super::reason::Reason;
use super::session::{Inner, Question, Session};
use super::upkeep::Upkeep;
use super::watch::Watch;
use simple_dist_protocol::topology::Declaration;
use simple_dist_protocol::{Generation, UserName};

/// A live generation. Woken by its owner's questions, by deliveries and by tasks that end; ends with
/// the first fault.
///
/// What is dropped while a connection closes the library wants to close as well, and takes its
/// failure for one of the connection, which it then drops without a word to the broker. So channels,
/// and consumers, live as long as their connection.
pub(super) struct LiveGeneration {
    broker: Arc<Broker>,
    events: mpsc::Sender<Event>,
    asked: mpsc::Receiver<Question>,
    faults: FaultSender,
    faulty: mpsc::Receiver<Reason>,
    answer_timeout: AnswerTimeout,
    /// Cancelled when the link closes: the tasks finish what waits, then end.
    closing: CancellationToken,
    consumers: Consumers,
    questions: Questions,
    upkeep: Upkeep,
    /// Publishers, acks, the watch.
    tasks: JoinSet<Result<(), Reason>>,
    /// Those of the publishers, kept for that reason.
    _publishing: Vec<Channel>,
}

/// Questions waiting for the generation, which only starts them.
const QUESTIONS: usize = 1024;

/// What is prepared before a generation starts.
pub(super) struct Prepared {
    pub(super) broker: Arc<Broker>,
    pub(super) declared: Vec<Declaration>,
    pub(super) granted: Vec<Granted>,
    /// Of the publishers: of jobs, and of control.
    pub(super) channels: [Channel; 2],
}

/// What a generation gets from its link.
pub(super) struct Context<'a> {
    pub(super) generation: Generation,
    pub(super) user: &'a UserName,
    pub(super) signed: bool,
    pub(super) largest: &'a Largest,
    pub(super) events: mpsc::Sender<Event>,
}

impl LiveGeneration {
    /// Tells the owner, then starts all tasks.
    pub(super) async fn begin(
        prepared: Prepared,
        of: Context<'_>,
        watch: Watch,
        blocked: watch::Receiver<bool>,
    ) -> Self {
        let Prepared { broker, declared, granted, channels } = prepared;
        let (faults, faulty) = FaultSender::new();
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let answer_timeout = AnswerTimeout::new(blocked);
        let [(jobs, jobs_waiting), (control, control_waiting)] = [Queue::new(), Queue::new()];
        let session = Session::new(Inner {
            generation: of.generation,
            user: of.user.clone(),
            jobs,
            control,
            questions,
            faults: faults.clone(),
            answer_timeout: answer_timeout.clone(),
        });
        // Without an owner there is nothing to do; the supervisor notices next.
        let _told_or_unheard = of.events.send(Event::Up(session)).await;
        let mut live = Self {
            events: of.events,
            asked,
            faults,
            faulty,
            closing: CancellationToken::new(),
            consumers: Consumers::default(),
            questions: Questions::new(broker.clone(), answer_timeout.clone()),
            upkeep: Upkeep::new(declared),
            tasks: JoinSet::new(),
            _publishing: channels.to_vec(),
            broker,
            answer_timeout,
        };
        live.tasks.spawn(watch.run(live.closing.clone()));
        for (channel, waiting) in channels.into_iter().zip([jobs_waiting, control_waiting]) {
            let signed_by = of.signed.then_some(of.user);
            let (events, largest) = (live.events.clone(), of.largest.clone());
            let (timeout, broker) = (live.answer_timeout.clone(), &live.broker);
            let publisher =
                Publisher::new(channel, waiting, signed_by, events, timeout, broker, largest);
            live.tasks.spawn(publisher.run(live.closing.clone()));
        }
        granted.into_iter().for_each(|granted| live.hand_over(granted));
        live
    }

    /// Runs until it must end, and returns why. Cancel-safe.
    pub(super) async fn run(&mut self) -> Reason {
        loop {
            let happened = tokio::select! {
                Some(question) = self.asked.recv() => Happened::Asked(question),
                Some(ended) = self.questions.next() => Happened::Answered(ended),
                Some(ended) = self.tasks.join_next() => {
                    Happened::Ended(ended.unwrap_or_else(|panic| Err(Reason::Lost(panic.to_string()))))
                }
                Some(fault) = self.faulty.recv() => Happened::Ended(Err(fault)),
                forwarded = self.consumers.forward(&self.events) => Happened::Ended(forwarded),
            };
            match happened {
                Happened::Asked(question) => self.ask(question),
                Happened::Ended(Ok(())) | Happened::Answered(Ended::Answered) => {}
                Happened::Ended(Err(reason)) | Happened::Answered(Ended::Fault(reason)) => {
                    return reason;
                }
                Happened::Answered(Ended::Granted(granted, reply)) => {
                    self.hand_over(*granted);
                    answer(reply, Ok(()));
                }
                Happened::Answered(Ended::DeclaredAgain(failed)) => {
                    self.upkeep.ended(failed, Instant::now());
                }
            }
        }
    }

    /// Starts what is asked, without waiting.
    fn ask(&mut self, question: Question) {
        match question {
            Question::Declare(declaration, reply) => self.questions.declare(declaration, reply),
            Question::Depth(queue, reply) => self.questions.depth(queue, reply),
            Question::Drain(queue, reply) => self.questions.drain(queue, reply),
            Question::Claim(locks, reply) => self.questions.claim(locks, reply),
            Question::Cancel(tag, reply) => {
                self.questions.cancel(self.consumers.leave(tag), reply);
            }
            Question::Consume(next, reply) => {
                self.questions.consume(self.consumers.idle(next.tag), next, reply);
            }
            Question::DeclareAgain => {
                if let Some(declared) = self.upkeep.begin(Instant::now()) {
                    self.questions.declare_again(declared);
                }
            }
        }
    }

    /// Starts to pass on the deliveries of a consumer, and to ack them.
    fn hand_over(&mut self, granted: Granted) {
        let channel = granted.channel.clone();
        self.consumers.begin(granted, || {
            let (handed_in, receipts) = Receipts::new(self.faults.clone());
            let bell = self.broker.consuming_bell().clone();
            let answer_timeout = self.answer_timeout.clone();
            let acker = Acker { channel, bell, receipts, answer_timeout };
            self.tasks.spawn(acker.run(self.closing.clone()));
            handed_in
        });
    }

    /// Publishes and acks what waits, then ends.
    pub(super) async fn finish(&mut self) {
        self.closing.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Aborts all tasks: no event of this generation follows.
    pub(super) async fn end(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// What wakes a generation.
enum Happened {
    Asked(Question),
    Answered(Ended),
    /// A task has ended, well or not.
    Ended(Result<(), Reason>),
}
