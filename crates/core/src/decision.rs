//! What a verification answers: a pure function of the record, the question and the time (CONTRACT §4.2).

use crate::key::ApiKey;
use crate::keyspace::Keyspace;
use crate::lifecycle::Status;
use crate::permission::Grants;
use crate::timestamp::Timestamp;

/// What is asked about a key.
#[derive(Debug)]
pub struct Question<'a, S> {
    /// The permissions it must hold, all of them.
    pub permissions: &'a [S],
    /// The keyspace it must belong to; without one, any but that of service keys.
    pub keyspace: Option<&'a str>,
}

/// What of a key a decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Where it stands.
    pub status: Status,
    /// From when on it is expired.
    pub expires_at: Option<Timestamp>,
    /// What it may do.
    pub grants: Grants,
}

impl From<&ApiKey> for Facts {
    fn from(key: &ApiKey) -> Self {
        Self {
            status: key.lifecycle.status(),
            expires_at: key.expires_at,
            grants: key.grants,
        }
    }
}

/// The answer, in the order in which it is looked for: the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// There is no such key, or not in the keyspace asked for.
    NotFound,
    /// It is revoked.
    Revoked,
    /// It is suspended.
    Suspended,
    /// It is expired.
    Expired,
    /// It lacks a permission asked for.
    InsufficientPermissions,
    /// It is good for what was asked.
    Valid,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NotFound,
        Self::Revoked,
        Self::Suspended,
        Self::Expired,
        Self::InsufficientPermissions,
        Self::Valid,
    ];

    /// As the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::Revoked => "REVOKED",
            Self::Suspended => "SUSPENDED",
            Self::Expired => "EXPIRED",
            Self::InsufficientPermissions => "INSUFFICIENT_PERMISSIONS",
            Self::Valid => "VALID",
        }
    }
}

/// Decides about a key that exists.
///
/// `keyspace` is the key's own. [`Code::NotFound`] where it is not the one asked for.
pub fn decide<S: AsRef<str>>(
    facts: Facts,
    keyspace: &Keyspace,
    question: &Question<'_, S>,
    now: Timestamp,
) -> Code {
    let asked_for = match question.keyspace {
        Some(name) => keyspace.name.as_str() == name,
        None => !keyspace.is_service(),
    };
    if !asked_for {
        return Code::NotFound;
    }
    match facts.status {
        Status::Revoked => return Code::Revoked,
        Status::Suspended => return Code::Suspended,
        Status::Active => {}
    }
    if facts.expires_at.is_some_and(|expires_at| now >= expires_at) {
        return Code::Expired;
    }
    let held = |name: &S| {
        keyspace
            .catalogue
            .has_permission(facts.grants, name.as_ref())
    };
    if question.permissions.iter().all(held) {
        Code::Valid
    } else {
        Code::InsufficientPermissions
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000);

    fn default_keyspace() -> Keyspace {
        Keyspace::built_in(NOW)[0].clone()
    }

    fn facts(status: Status, expires_at: Option<i64>, grants: u64) -> Facts {
        Facts {
            status,
            expires_at: expires_at.map(Timestamp::from_micros),
            grants: Grants(grants),
        }
    }

    fn ask<'a>(permissions: &'a [&'a str]) -> Question<'a, &'a str> {
        Question {
            permissions,
            keyspace: None,
        }
    }

    #[test]
    fn the_first_that_holds_is_answered() {
        // Each line takes away the first reason of the line before.
        let asked = ["READ_GRAPH"];
        let elsewhere = Question {
            permissions: &asked,
            keyspace: Some("elsewhere"),
        };
        let keyspace = default_keyspace();
        assert_eq!(
            decide(
                facts(Status::Revoked, Some(0), 0),
                &keyspace,
                &elsewhere,
                NOW
            ),
            Code::NotFound
        );
        assert_eq!(
            decide(
                facts(Status::Revoked, Some(0), 0),
                &keyspace,
                &ask(&asked),
                NOW
            ),
            Code::Revoked
        );
        assert_eq!(
            decide(
                facts(Status::Suspended, Some(0), 0),
                &keyspace,
                &ask(&asked),
                NOW
            ),
            Code::Suspended
        );
        assert_eq!(
            decide(
                facts(Status::Active, Some(0), 0),
                &keyspace,
                &ask(&asked),
                NOW
            ),
            Code::Expired
        );
        assert_eq!(
            decide(facts(Status::Active, None, 0), &keyspace, &ask(&asked), NOW),
            Code::InsufficientPermissions
        );
        assert_eq!(
            decide(
                facts(Status::Active, None, 0b10),
                &keyspace,
                &ask(&asked),
                NOW
            ),
            Code::Valid
        );
    }

    #[test]
    fn a_key_is_expired_from_the_very_moment_on() {
        let keyspace = default_keyspace();
        let at = |expires_at| {
            decide(
                facts(Status::Active, Some(expires_at), 0),
                &keyspace,
                &ask(&[]),
                NOW,
            )
        };
        assert_eq!(at(1_000), Code::Expired);
        assert_eq!(at(1_001), Code::Valid);
    }

    #[test]
    fn a_service_key_is_found_only_by_name_of_its_keyspace() {
        let [_, service] = Keyspace::built_in(NOW);
        let active = facts(Status::Active, None, 0);
        assert_eq!(decide(active, &service, &ask(&[]), NOW), Code::NotFound);
        let by_name = Question {
            permissions: &[] as &[&str],
            keyspace: Some("keywright"),
        };
        assert_eq!(decide(active, &service, &by_name, NOW), Code::Valid);
    }

    #[test]
    fn a_permission_no_catalogue_knows_is_missing() {
        let everything = facts(Status::Active, None, u64::MAX);
        let code = decide(
            everything,
            &default_keyspace(),
            &ask(&["READ_GRAPH", "unheard-of"]),
            NOW,
        );
        assert_eq!(code, Code::InsufficientPermissions);
    }

    proptest! {
        #[test]
        fn only_an_active_unexpired_key_is_ever_valid(status in 0_usize..3, expires_at: Option<i64>, grants: u64) {
            let facts = facts(Status::ALL[status], expires_at, grants);
            let valid = decide(facts, &default_keyspace(), &ask(&[]), NOW) == Code::Valid;
            prop_assert_eq!(valid, facts.status == Status::Active && expires_at.is_none_or(|at| at > 1_000));
        }
    }
}
