//! Edits of keys that come together: they may share a commit, and share nothing else.

use std::collections::BTreeSet;

use futures::future::join_all;
use keywright_core::authority::{KeyEdit, Refusal};
use keywright_core::key::KeyRecord;
use keywright_core::lifecycle::{Status, Transition};
use keywright_store::{KeyEdited, Scope};

use crate::coherence::Told;
use crate::world::{Place, World, eventually};

contract! {
    edits_made_together_are_each_there_told_audited_and_logged_once,
    edits_of_one_key_that_come_together_are_made_one_after_the_other,
    each_edit_meets_its_own_fate,
    edits_of_callers_who_go_away_are_made,
}

/// More than may be made at once, so that some wait and are made together.
const MANY: usize = 60;

async fn keys(world: &World) -> Vec<KeyRecord> {
    let drafts: Vec<_> = (0..MANY).map(|_| world.draft("alice")).collect();
    join_all(drafts.into_iter().map(|draft| world.create(draft))).await
}

async fn suspend_all(world: &World, keys: &[KeyRecord]) -> Vec<KeyEdited> {
    join_all(
        keys.iter()
            .map(|key| world.transition(key, Transition::Suspend)),
    )
    .await
}

async fn edits_made_together_are_each_there_told_audited_and_logged_once(world: World) {
    let told = Told::of(&world);
    let keys = keys(&world).await;
    for (key, edited) in keys.iter().zip(suspend_all(&world, &keys).await) {
        assert!(matches!(edited, KeyEdited::Done(_)), "{edited:?}");
        assert_eq!(
            world.look_up(key).await.key.lifecycle.status(),
            Status::Suspended
        );
    }
    let log = world.change_log().await;
    let seqs: Vec<_> = log.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, (1..=i64::try_from(MANY).unwrap()).collect::<Vec<_>>());
    let nonces: BTreeSet<_> = log.iter().map(|row| row.nonce.clone()).collect();
    let about: BTreeSet<_> = log.iter().map(|row| row.what.clone()).collect();
    assert_eq!((nonces.len(), about.len()), (MANY, MANY));
    // Of each, memory is told under the number that its row has.
    let mut told = told.take();
    told.sort_by_key(|change| change.seq);
    let told: Vec<_> = told
        .iter()
        .map(|change| match &change.scope {
            Scope::Key(digest) => (change.seq, crate::world::key_line(digest.as_bytes())),
            other => panic!("{other:?}"),
        })
        .collect();
    let logged: Vec<_> = log
        .iter()
        .map(|row| (row.seq.cast_unsigned(), row.what.clone()))
        .collect();
    assert_eq!(told, logged);
    let audited: BTreeSet<_> = world
        .audit_since(MANY)
        .await
        .iter()
        .filter_map(|entry| entry.key_id)
        .collect();
    assert_eq!(audited.len(), MANY);
}

async fn edits_of_one_key_that_come_together_are_made_one_after_the_other(world: World) {
    let key = world.key("alice").await;
    let keys = vec![key.clone(); MANY];
    let edited = suspend_all(&world, &keys).await;
    let done = |edited: &&KeyEdited| matches!(edited, KeyEdited::Done(_));
    assert_eq!(edited.iter().filter(done).count(), 1);
    let unchanged = |edited: &&KeyEdited| matches!(edited, KeyEdited::Unchanged(_));
    assert_eq!(edited.iter().filter(unchanged).count(), MANY - 1);
    assert_eq!(world.change_log().await.len(), 1);
}

async fn each_edit_meets_its_own_fate(world: World) {
    let mut keys = keys(&world).await;
    for key in keys.iter().step_by(3) {
        world
            .edit(key, KeyEdit::Transition(Transition::Revoke))
            .await;
    }
    let nobody = world.draft("bob");
    keys.push(nobody);
    let edited = suspend_all(&world, &keys).await;
    for (n, edited) in edited.into_iter().enumerate() {
        match n {
            MANY => assert_eq!(edited, KeyEdited::Refused(Refusal::NotFound)),
            n if n % 3 == 0 => assert!(
                matches!(edited, KeyEdited::Refused(Refusal::Revoked)),
                "{edited:?}"
            ),
            _ => assert!(matches!(edited, KeyEdited::Done(_)), "{edited:?}"),
        }
    }
}

async fn edits_of_callers_who_go_away_are_made(world: World) {
    let keys = keys(&world).await;
    for key in &keys {
        let mut edit = Box::pin(world.transition(key, Transition::Suspend));
        // Once asked, it is on its way.
        let _ = futures::poll!(&mut edit);
    }
    eventually("the keys are suspended", async || {
        world
            .number("SELECT count(*) FROM api_keys WHERE status = 'SUSPENDED'")
            .await
            == i64::try_from(MANY).unwrap()
    })
    .await;
}

/// Somebody else holds the row of one of them: that one waits, and the others are made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_one_that_has_to_wait_keeps_no_other_from_being_made() {
    let world = World::on_postgres().await;
    let keys = keys(&world).await;
    let Place::Postgres(database) = &world.place else {
        panic!("this is no PostgreSQL")
    };
    let mut outside = <sqlx::PgConnection as sqlx::Connection>::connect(database.url())
        .await
        .unwrap();
    let held = MANY / 2;
    sqlx::raw_sql("BEGIN").execute(&mut outside).await.unwrap();
    sqlx::query("SELECT id FROM api_keys WHERE id = $1 FOR UPDATE")
        .bind(keys[held].key.id.0)
        .execute(&mut outside)
        .await
        .unwrap();
    let all = suspend_all(&world, &keys);
    let let_go = async {
        eventually("all others are suspended", async || {
            world
                .number("SELECT count(*) FROM api_keys WHERE status = 'SUSPENDED'")
                .await
                == i64::try_from(MANY - 1).unwrap()
        })
        .await;
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut outside)
            .await
            .unwrap();
    };
    let (edited, ()) = tokio::join!(all, let_go);
    for edited in edited {
        assert!(matches!(edited, KeyEdited::Done(_)), "{edited:?}");
    }
}
