//! The permissions of each role: RabbitMQ's permission expressions, made from the same prefix as
//! the names they match.
//!
//! Only the distributor may write to the default exchange, which reaches every queue. No role may
//! configure, read or write what another user owns: the user name is part of the names, and
//! contains no dot.

use super::Topology;
use crate::UserName;
use crate::limits::LOCKS;

/// The role of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Declares what is shared, and reaches every queue.
    Distributor,
    /// Reads pools, writes answers and beats.
    Worker,
    /// Writes submissions, reads its own answers.
    Client,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Distributor, Self::Worker, Self::Client];

    /// The role's name: `distributor`, `worker`, `client`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Distributor => "distributor",
            Self::Worker => "worker",
            Self::Client => "client",
        }
    }
}

/// The three expressions of a user's permissions in a virtual host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// What it may declare and delete.
    pub configure: String,
    /// What it may publish to and bind.
    pub write: String,
    /// What it may consume, purge and bind to.
    pub read: String,
}

impl Topology {
    /// The permissions that a user of this role needs, and no more.
    ///
    /// ```
    /// use simple_dist_protocol::topology::{Role, Topology};
    ///
    /// let rights = Topology::default().rights(Role::Client, &"ada".parse()?);
    /// assert_eq!(rights.configure, r"^sd\.client\.ada\..+$");
    /// # Ok::<(), simple_dist_protocol::UserNameError>(())
    /// ```
    pub fn rights(&self, role: Role, user: &UserName) -> Rights {
        let sd = &self.prefix;
        match role {
            Role::Distributor => {
                let declared = format!(
                    r"^{sd}\.(submit|results|beats|presence|submissions|control|answers|parked|leader\.[1-{LOCKS}]|(pool|distributor)\..+)$"
                );
                Rights {
                    configure: declared.clone(),
                    write: format!(
                        r"^(amq\.default|{sd}\.(presence|submissions|control|answers|distributor\..+))$"
                    ),
                    read: declared,
                }
            }
            Role::Worker => Rights {
                configure: format!(r"^{sd}\.worker\.{user}\..+$"),
                write: format!(r"^{sd}\.(results|beats|worker\.{user}\..+)$"),
                read: format!(r"^{sd}\.(presence|pool\..+|worker\.{user}\..+)$"),
            },
            Role::Client => Rights {
                configure: format!(r"^{sd}\.client\.{user}\..+$"),
                write: format!(r"^{sd}\.(submit|client\.{user}\..+)$"),
                read: format!(r"^{sd}\.(presence|client\.{user}\..+)$"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::QueueKind;
    use super::*;

    #[track_caller]
    fn check(role: Role, configure: &str, write: &str, read: &str) {
        let topology = Topology::new("jobs-2", QueueKind::Classic).unwrap();
        let rights = topology.rights(role, &"ada".parse().unwrap());
        let expected = Rights {
            configure: configure.to_owned(),
            write: write.to_owned(),
            read: read.to_owned(),
        };
        assert_eq!(rights, expected);
    }

    #[test]
    fn a_client_has_the_submissions_and_what_is_its_own() {
        check(
            Role::Client,
            r"^jobs-2\.client\.ada\..+$",
            r"^jobs-2\.(submit|client\.ada\..+)$",
            r"^jobs-2\.(presence|client\.ada\..+)$",
        );
    }

    #[test]
    fn a_worker_has_its_pools_and_what_is_its_own() {
        check(
            Role::Worker,
            r"^jobs-2\.worker\.ada\..+$",
            r"^jobs-2\.(results|beats|worker\.ada\..+)$",
            r"^jobs-2\.(presence|pool\..+|worker\.ada\..+)$",
        );
    }

    #[test]
    fn only_the_distributor_has_the_default_exchange() {
        let declared = r"^jobs-2\.(submit|results|beats|presence|submissions|control|answers|parked|leader\.[1-4]|(pool|distributor)\..+)$";
        check(
            Role::Distributor,
            declared,
            r"^(amq\.default|jobs-2\.(presence|submissions|control|answers|distributor\..+))$",
            declared,
        );
    }
}
