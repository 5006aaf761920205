//! A virtual host at RabbitMQ with a login for each role. Only an administrator can create it, so
//! it needs `rabbitmqctl` besides `AMQP_URL`.

use std::process::Command;

use simple_dist_protocol::UserName;
use simple_dist_protocol::topology::{Rights, Role, Topology};

/// A virtual host and its users. Both are deleted when it is dropped.
#[derive(Debug)]
pub struct Vhost {
    /// `user:password` of the administrator that `AMQP_URL` names.
    administrator: String,
    /// Host and port.
    address: String,
    name: String,
    users: Vec<UserName>,
}

impl Vhost {
    /// Creates an empty virtual host on the RabbitMQ of `AMQP_URL`.
    ///
    /// # Panics
    /// Panics without `AMQP_URL`, or if `rabbitmqctl` (or the command in `RABBITMQCTL`) fails.
    #[expect(clippy::new_without_default, reason = "it does not come out of nothing")]
    pub fn new() -> Self {
        let url = std::env::var("AMQP_URL").expect("AMQP_URL names a RabbitMQ");
        let rest = url.strip_prefix("amqp://").expect("AMQP_URL begins with amqp://");
        let (administrator, rest) = rest.split_once('@').expect("AMQP_URL names a user");
        let address = rest.split(['/', '?']).next().expect("there is a first part").to_owned();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("test-{}", &unique[..12]);
        let administrator = administrator.to_owned();
        let vhost = Self { administrator, address, name, users: Vec::new() };
        rabbitmqctl(&["add_vhost", &vhost.name]);
        let (name, _) = vhost.administrator.split_once(':').expect("AMQP_URL has a password");
        vhost.grant(name, [".*", ".*", ".*"]);
        vhost
    }

    /// The administrator's URL.
    pub fn url(&self) -> String {
        format!("amqp://{}@{}/{}", self.administrator, self.address, self.name)
    }

    /// A user's URL.
    pub fn url_of(&self, user: &UserName) -> String {
        format!("amqp://{user}:secret@{}/{}", self.address, self.name)
    }

    /// Creates a user with the permissions of a role under this prefix.
    ///
    /// # Panics
    /// When `rabbitmqctl` fails.
    pub fn user(&mut self, role: Role, topology: &Topology) -> UserName {
        let name = format!("{}-{}", self.name, role.as_str());
        let user: UserName = name.parse().expect("the name of a test's user fits");
        rabbitmqctl(&["add_user", user.as_str(), "secret"]);
        self.users.push(user.clone());
        let Rights { configure, write, read } = topology.rights(role, &user);
        self.grant(user.as_str(), [&configure, &write, &read]);
        user
    }

    /// Closes every connection, as an operator can.
    ///
    /// # Panics
    /// When `rabbitmqctl` fails.
    pub fn cut(&self) {
        rabbitmqctl(&["close_all_connections", "--vhost", &self.name, "a test"]);
    }

    fn grant(&self, user: &str, [configure, write, read]: [&str; 3]) {
        rabbitmqctl(&["set_permissions", "--vhost", &self.name, user, configure, write, read]);
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        for user in &self.users {
            rabbitmqctl(&["delete_user", user.as_str()]);
        }
        rabbitmqctl(&["delete_vhost", &self.name]);
    }
}

/// Runs `rabbitmqctl`, or the command in `RABBITMQCTL`, which may start with other words, such as
/// those of a container tool.
fn rabbitmqctl(arguments: &[&str]) {
    let command = std::env::var("RABBITMQCTL").unwrap_or_else(|_| "rabbitmqctl".to_owned());
    let mut words = command.split_whitespace();
    let program = words.next().expect("RABBITMQCTL names a program");
    let run = Command::new(program).args(words).arg("--quiet").args(arguments).output();
    let output = run.expect("rabbitmqctl can be started");
    if std::thread::panicking() {
        // A second panic would hide the first.
        return;
    }
    assert!(
        output.status.success(),
        "{command} {}: {}",
        arguments[0],
        String::from_utf8_lossy(&output.stderr)
    );
}
