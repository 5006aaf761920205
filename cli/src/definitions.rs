//! The definitions file for RabbitMQ: a user for each role, with a password hash and the role's
//! permissions, and no other users.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simple_dist_protocol::UserName;
use simple_dist_protocol::topology::{Declaration, ExchangeKind, Role, Topology};

/// A login to define.
pub(crate) struct Login<'a> {
    /// The role, which determines its permissions.
    pub(crate) role: Role,
    /// The user name.
    pub(crate) user: UserName,
    /// The password; only a hash of it is written.
    pub(crate) password: &'a str,
}

/// The virtual host of all roles.
const VHOST: &str = "/";

/// The definitions file. Because it names users, RabbitMQ does not create `guest`.
pub(crate) fn definitions(topology: &Topology, logins: &[Login<'_>]) -> Value {
    let users: Vec<Value> = logins
        .iter()
        .map(|login| {
            json!({
                "name": login.user,
                "password_hash": password_hash(rand::random(), login.password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [],
            })
        })
        .collect();
    let permissions: Vec<Value> = logins
        .iter()
        .map(|login| {
            let rights = topology.rights(login.role, &login.user);
            json!({
                "user": login.user,
                "vhost": VHOST,
                "configure": rights.configure,
                "write": rights.write,
                "read": rights.read,
            })
        })
        .collect();
    json!({
        "vhosts": [{ "name": VHOST }],
        "users": users,
        "permissions": permissions,
        "exchanges": exchanges(topology),
    })
}

/// The exchanges, so that roles started before the distributor find them and cause no errors in the
/// broker's log.
fn exchanges(topology: &Topology) -> Vec<Value> {
    let exchange = |declaration| match declaration {
        Declaration::Exchange { name, kind } => Some(json!({
            "name": name.as_str(),
            "vhost": VHOST,
            "type": match kind {
                ExchangeKind::Direct => "direct",
                ExchangeKind::Fanout => "fanout",
            },
            "durable": true,
            "auto_delete": false,
            "internal": false,
            "arguments": {},
        })),
        Declaration::Queue(_) | Declaration::Binding { .. } => None,
    };
    topology.shared().into_iter().filter_map(exchange).collect()
}

/// RabbitMQ's format: the salt, then the hash of salt and password, in base64.
fn password_hash(salt: [u8; 4], password: &str) -> String {
    let hash = Sha256::new().chain_update(salt).chain_update(password).finalize();
    STANDARD.encode([&salt[..], &hash[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in RabbitMQ's guide to passwords.
    #[test]
    fn a_password_is_hashed_as_rabbitmq_does() {
        let hash = password_hash([0x90, 0x8d, 0xc6, 0x0a], "test12");
        assert_eq!(hash, "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR");
    }

    #[test]
    fn every_user_has_the_rights_of_its_role_and_no_password_is_written() {
        let topology = Topology::default();
        let logins = Role::ALL.map(|role| Login {
            role,
            user: role.as_str().parse().unwrap(),
            password: "correct horse",
        });
        let written = definitions(&topology, &logins);
        for (at, role) in Role::ALL.into_iter().enumerate() {
            let rights = topology.rights(role, &role.as_str().parse().unwrap());
            assert_eq!(written["users"][at]["name"], role.as_str());
            assert_eq!(written["users"][at]["tags"], json!([]));
            let permission = &written["permissions"][at];
            assert_eq!(permission["user"], role.as_str());
            assert_eq!(permission["configure"], rights.configure);
            assert_eq!(permission["write"], rights.write);
            assert_eq!(permission["read"], rights.read);
        }
        assert_eq!(written["users"].as_array().map(Vec::len), Some(3));
        let exchanges = written["exchanges"].as_array().unwrap();
        let names: Vec<_> = exchanges.iter().map(|exchange| &exchange["name"]).collect();
        assert_eq!(names, ["sd.submit", "sd.results", "sd.presence", "sd.beats"]);
        assert!(!written.to_string().contains("correct horse"));
    }
}
