//! Every role against every operation on everything.
#![expect(clippy::print_stdout, reason = "the figures are to be seen")]

use lapin::{Connection, ConnectionProperties};
use simple_dist_e2e::Vhost;
use simple_dist_protocol::topology::{Role, Topology};

use crate::object::{Access, Exchange, Names, Queue};
use crate::operation::{Operation, Verdict, furnish};

async fn connect(url: &str) -> Connection {
    let connecting = Connection::connect(url, ConnectionProperties::default());
    let connected = tokio::time::timeout(std::time::Duration::from_secs(10), connecting).await;
    connected.expect("the broker answers").expect("the login is known")
}

/// Tries every operation as a user of this role and compares what was allowed with what should be.
async fn check(role: Role) {
    let topology = Topology::default();
    let mut vhost = Vhost::new();
    let user = vhost.user(role, &topology);
    let access = Access::of(role);
    let names = Names::new(topology, user);
    let administrator = connect(&vhost.url()).await;
    furnish(&names, &administrator).await.expect("the administrator may do everything");
    let connection = connect(&vhost.url_of(&names.user)).await;

    let promises = promised_to_be_refused(role);
    let (mut allowed, mut refused, mut wrong) = (0, 0, Vec::new());
    for operation in Operation::all() {
        let (expected, found) =
            (operation.verdict(&access), operation.attempt(&names, &connection).await);
        match found {
            Verdict::Allowed => allowed += 1,
            Verdict::Refused | Verdict::Either => refused += 1,
        }
        let surprising = expected != Verdict::Either && expected != found;
        if surprising || (promises.contains(&operation) && found != Verdict::Refused) {
            wrong.push((operation, found));
        }
    }
    println!("{}: {allowed} operations allowed, {refused} refused", role.as_str());
    assert!(wrong.is_empty(), "{}: {wrong:#?}", role.as_str());
}

/// What must be refused, whatever changes in the table.
fn promised_to_be_refused(role: Role) -> Vec<Operation> {
    use {Exchange as X, Operation as O, Queue as Q};
    match role {
        Role::Client => vec![
            O::Get(Q::OtherClients),
            O::Purge(Q::OtherClients),
            O::Delete(Q::OtherClients),
            O::Bind(Q::OtherClients, X::Presence),
            O::Send(Q::OtherClients),
            O::Send(Q::Answers),
            O::Publish(X::Results),
            O::Publish(X::Presence),
            O::Forge(X::Submit),
            O::Get(Q::Submissions),
            O::Purge(Q::Submissions),
            O::Get(Q::Pool),
            O::Declare(Q::Pool),
            O::Declare(Q::Leader),
            O::Declare(Q::NamedSubmit),
            O::DeclareExchange(X::Submit),
            O::DeadLetter(Q::OwnClients, X::Default),
        ],
        Role::Worker => vec![
            O::Send(Q::OwnClients),
            O::Send(Q::OtherClients),
            O::Send(Q::OtherWorkers),
            O::Get(Q::OtherWorkers),
            O::Get(Q::Submissions),
            O::Get(Q::Answers),
            O::Purge(Q::Answers),
            O::Publish(X::Submit),
            O::Publish(X::Presence),
            O::Forge(X::Results),
            O::Forge(X::Beats),
            O::Declare(Q::Pool),
            O::Declare(Q::OwnClients),
            O::DeclareExchange(X::Results),
            O::DeadLetter(Q::OwnWorkers, X::Default),
        ],
        Role::Distributor => vec![
            O::Get(Q::OtherClients),
            O::Purge(Q::OtherClients),
            O::Declare(Q::OtherClients),
            O::Get(Q::OtherWorkers),
            O::Publish(X::Submit),
            O::Publish(X::Results),
            O::Publish(X::Beats),
            O::Delete(Q::Payroll),
            O::Get(Q::Elsewhere),
        ],
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: AMQP_URL and rabbitmqctl"]
async fn a_client_has_its_own_answers_and_submissions_alone() {
    check(Role::Client).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: AMQP_URL and rabbitmqctl"]
async fn a_worker_has_its_pools_and_writes_to_no_client() {
    check(Role::Worker).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: AMQP_URL and rabbitmqctl"]
async fn the_distributor_can_neither_read_nor_forge_answers() {
    check(Role::Distributor).await;
}
