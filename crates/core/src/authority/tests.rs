//! Every rule of CONTRACT §4.1, and the ways one would try to get round it.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::digest::Digest;
use crate::identifier::KeyId;
use crate::lifecycle::Lifecycle;

const NOW: Timestamp = Timestamp::from_micros(1_000);
const LATER: Timestamp = Timestamp::from_micros(2_000);

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn record(keyspace: Keyspace, owner: UserId, grants: Grants) -> KeyRecord {
    KeyRecord {
        key: ApiKey {
            id: KeyId(Uuid::nil()),
            keyspace: keyspace.name.clone(),
            user_id: owner,
            name: KeyName::new("a key").unwrap(),
            description: None,
            prefix: "agpt_abc".to_owned(),
            postfix: "01234567".to_owned(),
            lifecycle: Lifecycle::Active,
            grants,
            created_at: NOW,
            updated_at: NOW,
            last_used_at: None,
            expires_at: None,
            metadata: Metadata::empty(),
        },
        digest: Digest::of("some text"),
        keyspace: Arc::new(keyspace),
    }
}

fn default_keyspace() -> Keyspace {
    Keyspace::built_in(NOW)[0].clone()
}

fn service_keyspace() -> Keyspace {
    Keyspace::built_in(NOW)[1].clone()
}

fn closed_keyspace() -> Keyspace {
    Keyspace {
        self_service: false,
        ..default_keyspace()
    }
}

fn ada_s_key(keyspace: Keyspace) -> KeyRecord {
    record(keyspace, user("ada"), Grants(0b1))
}

fn service_key(grants: Grants) -> KeyRecord {
    record(service_keyspace(), UserId::reserved(), grants)
}

fn ada() -> Caller {
    Caller::User(user("ada"))
}

fn back_end(grants: Grants) -> Caller {
    Caller::ServiceKey {
        grants,
        acting_for: None,
    }
}

fn details(details: DetailsEdit) -> KeyEdit {
    KeyEdit::Details(details)
}

fn renamed() -> KeyEdit {
    details(DetailsEdit {
        name: Some(KeyName::new("another name").unwrap()),
        ..DetailsEdit::default()
    })
}

fn expiring(at: Timestamp) -> KeyEdit {
    details(DetailsEdit {
        expires_at: Some(Some(at)),
        ..DetailsEdit::default()
    })
}

fn every_edit() -> [KeyEdit; 5] {
    [
        KeyEdit::Transition(Transition::Suspend),
        KeyEdit::Transition(Transition::Reactivate),
        KeyEdit::Transition(Transition::Revoke),
        KeyEdit::Permissions(Grants::NONE),
        renamed(),
    ]
}

fn changed(edited: Result<Edited, Refusal>) -> ApiKey {
    match edited {
        Ok(Edited::To { key, .. }) => *key,
        other => panic!("nothing changed: {other:?}"),
    }
}

#[test]
fn a_strangers_key_is_not_there() {
    let key = ada_s_key(default_keyspace());
    let strangers = [
        Caller::User(user("bob")),
        Caller::ServiceKey {
            grants: service_keyspace().catalogue.everything(),
            acting_for: Some(user("bob")),
        },
    ];
    for stranger in strangers {
        for what in every_edit() {
            assert_eq!(
                edit(&stranger, &key, &what, true, LATER),
                Err(Refusal::NotFound)
            );
        }
    }
}

#[test]
fn no_user_sees_a_service_key() {
    let key = service_key(Grants::NONE);
    for what in every_edit() {
        assert_eq!(
            edit(&ada(), &key, &what, true, LATER),
            Err(Refusal::NotFound)
        );
    }
}

#[test]
fn a_change_keeps_everything_else() {
    let before = ada_s_key(default_keyspace());
    let after = changed(edit(
        &ada(),
        &before,
        &KeyEdit::Permissions(Grants(0b10)),
        false,
        LATER,
    ));
    assert_eq!(
        after,
        ApiKey {
            grants: Grants(0b10),
            updated_at: LATER,
            ..before.key
        }
    );
}

#[test]
fn what_holds_already_is_unchanged() {
    let key = ada_s_key(default_keyspace());
    let same_name = details(DetailsEdit {
        name: Some(key.key.name.clone()),
        ..DetailsEdit::default()
    });
    for what in [
        KeyEdit::Transition(Transition::Reactivate),
        KeyEdit::Permissions(Grants(0b1)),
        same_name,
    ] {
        assert_eq!(
            edit(&ada(), &key, &what, false, LATER),
            Ok(Edited::Unchanged)
        );
    }
}

#[test]
fn nothing_but_revocation_is_answered_on_a_revoked_key() {
    let mut key = ada_s_key(default_keyspace());
    key.key.lifecycle = Lifecycle::Revoked {
        at: NOW,
        suspended_at: None,
    };
    for what in every_edit() {
        let expected = match what {
            KeyEdit::Transition(Transition::Revoke) => Ok(Edited::Unchanged),
            _ => Err(Refusal::Revoked),
        };
        assert_eq!(edit(&ada(), &key, &what, false, LATER), expected);
    }
}

#[test]
fn where_a_keyspace_is_not_self_service_users_only_lessen_and_rename() {
    let key = ada_s_key(closed_keyspace());
    let metadata = details(DetailsEdit {
        metadata: Some(Metadata::empty()),
        ..DetailsEdit::default()
    });
    let no_expiry = details(DetailsEdit {
        expires_at: Some(None),
        ..DetailsEdit::default()
    });
    for what in [
        KeyEdit::Permissions(Grants(0b11)),
        metadata,
        expiring(LATER),
        no_expiry,
    ] {
        assert_eq!(
            edit(&ada(), &key, &what, false, LATER),
            Err(Refusal::NotSelfService)
        );
        let back_end_for_ada = Caller::ServiceKey {
            grants: Grants::NONE,
            acting_for: Some(user("ada")),
        };
        assert!(edit(&back_end_for_ada, &key, &what, false, NOW).is_ok());
    }
    for what in [
        KeyEdit::Transition(Transition::Suspend),
        KeyEdit::Transition(Transition::Revoke),
        renamed(),
    ] {
        changed(edit(&ada(), &key, &what, false, LATER));
    }
}

#[test]
fn users_make_keys_only_where_self_service_allows() {
    assert_eq!(may_create(&ada(), &default_keyspace(), Grants(0b1)), Ok(()));
    assert_eq!(
        may_create(&ada(), &closed_keyspace(), Grants::NONE),
        Err(Refusal::NotSelfService)
    );
    assert_eq!(
        may_create(&ada(), &service_keyspace(), Grants::NONE),
        Err(Refusal::ServiceKeysOnly)
    );
    // Even if somebody set the flag on the built-in keyspace.
    let opened = Keyspace {
        self_service: true,
        ..service_keyspace()
    };
    assert_eq!(
        may_create(&ada(), &opened, Grants::NONE),
        Err(Refusal::ServiceKeysOnly)
    );
}

#[test]
fn a_service_key_makes_none_that_may_do_more() {
    let writer = Operation::KeysWrite.grant();
    let missing = Operation::AuditRead.grant();
    let wanted = Grants(writer.0 | missing.0);
    assert_eq!(
        may_create(&back_end(writer), &service_keyspace(), wanted),
        Err(Refusal::InsufficientScope { missing })
    );
    assert_eq!(
        may_create(&back_end(wanted), &service_keyspace(), wanted),
        Ok(())
    );
    assert_eq!(
        may_create(&back_end(writer), &closed_keyspace(), Grants(0b1111)),
        Ok(())
    );
}

#[test]
fn a_service_key_that_may_do_more_is_not_changed_by_one_that_may_less() {
    let writer = Operation::KeysWrite.grant();
    let stronger = service_key(Grants(writer.0 | Operation::AuditRead.grant().0));
    let missing = Operation::AuditRead.grant();
    let lessened = KeyEdit::Permissions(writer);
    for what in [
        lessened,
        renamed(),
        expiring(LATER),
        KeyEdit::Transition(Transition::Reactivate),
    ] {
        let refused = edit(&back_end(writer), &stronger, &what, true, NOW);
        assert_eq!(refused, Err(Refusal::InsufficientScope { missing }));
    }
    for what in [Transition::Suspend, Transition::Revoke] {
        changed(edit(
            &back_end(writer),
            &stronger,
            &KeyEdit::Transition(what),
            true,
            LATER,
        ));
    }
}

#[test]
fn a_service_key_gives_itself_nothing() {
    let writer = Operation::KeysWrite.grant();
    let raised = KeyEdit::Permissions(Grants(writer.0 | Operation::UsersWrite.grant().0));
    let refused = edit(
        &back_end(writer),
        &service_key(writer),
        &raised,
        true,
        LATER,
    );
    assert_eq!(
        refused,
        Err(Refusal::InsufficientScope {
            missing: Operation::UsersWrite.grant()
        })
    );
}

#[test]
fn the_last_writer_stays() {
    let writer = Operation::KeysWrite.grant();
    let last = service_key(writer);
    let ends = [
        KeyEdit::Transition(Transition::Suspend),
        KeyEdit::Transition(Transition::Revoke),
        KeyEdit::Permissions(Grants::NONE),
        expiring(LATER),
    ];
    for end in ends {
        assert_eq!(
            edit(&back_end(writer), &last, &end, false, NOW),
            Err(Refusal::LastServiceKey)
        );
        changed(edit(&back_end(writer), &last, &end, true, NOW));
    }
    // Nor does the holder end it through the key itself.
    let revoke = KeyEdit::Transition(Transition::Revoke);
    assert_eq!(
        edit(&Caller::Holder, &last, &revoke, false, NOW),
        Err(Refusal::LastServiceKey)
    );
}

#[test]
fn the_rule_of_the_last_writer_is_for_service_keys_only() {
    let key = record(
        default_keyspace(),
        user("ada"),
        Operation::KeysWrite.grant(),
    );
    changed(edit(
        &ada(),
        &key,
        &KeyEdit::Transition(Transition::Revoke),
        false,
        LATER,
    ));
}

#[test]
fn a_key_that_writes_nothing_is_never_the_last_writer() {
    let reader = service_key(Operation::KeysRead.grant());
    let writer = back_end(service_keyspace().catalogue.everything());
    changed(edit(
        &writer,
        &reader,
        &KeyEdit::Transition(Transition::Revoke),
        false,
        LATER,
    ));
}

#[test]
fn a_holder_revokes_a_suspended_key() {
    let mut key = ada_s_key(default_keyspace());
    key.key.lifecycle = Lifecycle::Suspended { at: NOW };
    let revoked = changed(edit(
        &Caller::Holder,
        &key,
        &KeyEdit::Transition(Transition::Revoke),
        false,
        LATER,
    ));
    assert_eq!(
        revoked.lifecycle,
        Lifecycle::Revoked {
            at: LATER,
            suspended_at: Some(NOW)
        }
    );
}

#[test]
fn a_holder_does_nothing_but_revoke() {
    let key = ada_s_key(default_keyspace());
    for what in every_edit() {
        let outcome = edit(&Caller::Holder, &key, &what, true, LATER);
        let revokes = what == KeyEdit::Transition(Transition::Revoke);
        assert_eq!(outcome.is_ok(), revokes, "{what:?}");
    }
}
