//! What nodes tell each other through a database that they share.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use keywright_core::authority::{Caller, KeyEdit};
use keywright_core::keyspace::KeyspaceEdit;
use keywright_core::lifecycle::Transition;
use keywright_core::timestamp::Timestamp;
use keywright_store::cluster::{
    Agreed, Cluster, ClusterSession, LeaseTerms, LogMark, NodeCard, NodeFigures, NodeId, NodeRow,
    PROTOCOL, Survey, Told, Word,
};
use keywright_store::postgres::{Options, PostgresStore};
use keywright_store::{KeySelector, Scope, Store as _, StoreError};
use sqlx::{AssertSqlSafe, Connection as _};
use uuid::Uuid;

use crate::ambient::Counting;
use crate::world::{World, keyspace_name, postgres_url, user};

async fn world() -> (World, Arc<dyn Cluster>) {
    let world = World::on_postgres().await;
    let cluster = world.store.clone().cluster().expect("nodes share it");
    (world, cluster)
}

fn card(number: u128) -> NodeCard {
    NodeCard {
        id: NodeId(Uuid::from_u128(number)),
        name: format!("node '{number}'; --"),
        version: "1.2.3".to_owned(),
        address: "127.0.0.1:7878".to_owned(),
        since: Timestamp::from_micros(7),
    }
}

const fn terms(lease: u64, margin: u64) -> LeaseTerms {
    LeaseTerms {
        lease: Duration::from_millis(lease),
        margin: Duration::from_millis(margin),
    }
}

const FIGURES: NodeFigures = NodeFigures {
    keys: 1,
    hits: 2,
    misses: 3,
};

async fn join(
    session: &mut dyn ClusterSession,
    number: u128,
    wanted: Option<LeaseTerms>,
) -> LeaseTerms {
    let joined = session.join(&card(number), 1, None, wanted).await;
    joined.expect("it joins").terms
}

async fn nodes(session: &mut dyn ClusterSession) -> Vec<NodeRow> {
    let mut nodes = session.nodes().await.expect("an answer");
    nodes.sort_by_key(|node| node.card.id);
    nodes
}

async fn outside(world: &World, statement: String) {
    let mut connection = sqlx::PgConnection::connect(postgres_url(world))
        .await
        .unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_embedded_database_has_no_nodes() {
    let world = World::on_sqlite().await;
    assert!(world.store.clone().cluster().is_none());
}

#[tokio::test]
async fn the_first_node_sets_the_terms_and_the_others_adopt_them() {
    let (_world, cluster) = world().await;
    let (mut one, mut other) = (cluster.session(), cluster.session());
    assert_eq!(
        join(&mut *one, 1, Some(terms(500, 25))).await,
        terms(500, 25)
    );
    assert_eq!(
        join(&mut *other, 2, Some(terms(9_000, 450))).await,
        terms(500, 25)
    );
    one.leave(NodeId(Uuid::from_u128(1))).await.unwrap();
    other.leave(NodeId(Uuid::from_u128(2))).await.unwrap();
    assert_eq!(join(&mut *one, 3, None).await, terms(500, 25), "they stay");
    one.leave(NodeId(Uuid::from_u128(3))).await.unwrap();
    assert_eq!(
        join(&mut *one, 4, Some(terms(9_000, 450))).await,
        terms(9_000, 450)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_first_nodes_one_sets_the_terms() {
    let (_world, cluster) = world().await;
    let joining = (1..=8).map(|number| {
        let mut session = cluster.session();
        async move {
            join(
                &mut *session,
                number,
                Some(terms(1_000 + u64::try_from(number).unwrap(), 50)),
            )
            .await
        }
    });
    let all = futures::future::join_all(joining).await;
    assert!(all.iter().all(|terms| *terms == all[0]), "{all:?}");
}

#[tokio::test]
async fn what_a_node_says_of_itself_is_read_as_it_was_said() {
    let (_world, cluster) = world().await;
    let mut session = cluster.session();
    join(&mut *session, 1, None).await;
    let all = nodes(&mut *session).await;
    let [node] = &all[..] else { panic!("{all:?}") };
    assert_eq!(node.card, card(1));
    assert_eq!((node.renewal, node.applied_seq), (1, 0));
    assert_eq!(node.figures, NodeFigures::default());
}

#[tokio::test]
async fn a_survey_tells_how_far_the_history_is_and_who_shares_it() {
    let (world, cluster) = world().await;
    let empty = world.store.survey().await.unwrap();
    assert_eq!((empty.last_seq, empty.log_rows), (0, 0));
    assert_eq!(empty.nodes, []);
    let mut session = cluster.session();
    join(&mut *session, 2, Some(terms(500, 25))).await;
    join(&mut *session, 1, None).await;
    session.renew(card(2).id, 1, FIGURES).await.unwrap();
    let key = world.key("ada").await;
    world.transition(&key, Transition::Suspend).await;
    world.transition(&key, Transition::Reactivate).await;
    let newest = place(&mut *session, 2).await;
    for number in [1, 2] {
        let told = session.tell_applied(card(number).id, newest).await;
        assert_eq!(told, Ok(true));
    }
    world.store.trim_log(1).await.unwrap();
    let survey = world.store.survey().await.unwrap();
    assert_eq!((survey.last_seq, survey.log_rows), (2, 1));
    let agreed = Agreed {
        protocol: PROTOCOL,
        terms: terms(500, 25),
    };
    assert_eq!(survey.agreed, Some(agreed));
    assert_eq!(survey.nodes, nodes(&mut *session).await);
    assert_eq!(survey.nodes[1].figures, FIGURES);
}

#[tokio::test]
async fn an_embedded_database_is_surveyed_too() {
    let world = World::on_sqlite().await;
    let key = world.key("ada").await;
    world.transition(&key, Transition::Suspend).await;
    let survey = world.store.survey().await.unwrap();
    let expected = Survey {
        last_seq: 1,
        log_rows: 1,
        agreed: None,
        nodes: Vec::new(),
    };
    assert_eq!(survey, expected);
    assert_eq!(world.store.kind(), "sqlite");
}

#[tokio::test]
async fn a_renewal_is_counted_and_gives_all_nodes() {
    let (_world, cluster) = world().await;
    let mut session = cluster.session();
    for number in [1, 2] {
        join(&mut *session, number, None).await;
    }
    let renewed = session.renew(card(1).id, 1, FIGURES).await.unwrap();
    assert_eq!(renewed.expect("it is there").len(), 2);
    let all = nodes(&mut *session).await;
    assert_eq!((all[0].renewal, all[0].figures), (2, FIGURES));
    assert_eq!(
        (all[1].renewal, all[1].figures),
        (1, NodeFigures::default())
    );
}

#[tokio::test]
async fn a_node_that_is_gone_or_was_renewed_by_another_is_not_renewed() {
    let (_world, cluster) = world().await;
    let mut session = cluster.session();
    assert_eq!(session.renew(card(1).id, 0, FIGURES).await, Ok(None));
    join(&mut *session, 1, None).await;
    assert_eq!(session.renew(card(1).id, 2, FIGURES).await, Ok(None));
    assert_eq!(nodes(&mut *session).await[0].renewal, 1);
}

#[tokio::test]
async fn a_node_that_joins_again_goes_on_from_the_count_that_it_says() {
    let (world, cluster) = world().await;
    let mut session = cluster.session();
    join(&mut *session, 1, None).await;
    let key = world.key("ada").await;
    world.transition(&key, Transition::Suspend).await;
    session.join(&card(1), 5, Some(0), None).await.unwrap();
    let all = nodes(&mut *session).await;
    assert_eq!((all.len(), all[0].renewal, all[0].applied_seq), (1, 5, 0));
    session.join(&card(1), 7, None, None).await.unwrap();
    assert_eq!(nodes(&mut *session).await[0].applied_seq, 1);
    // An attempt that was given up, and is done after the next one.
    session.join(&card(1), 6, Some(0), None).await.unwrap();
    let all = nodes(&mut *session).await;
    assert_eq!((all[0].renewal, all[0].applied_seq), (7, 1));
}

#[tokio::test]
async fn a_node_is_removed_only_at_the_renewal_that_was_seen() {
    let (_world, cluster) = world().await;
    let mut session = cluster.session();
    join(&mut *session, 1, None).await;
    assert_eq!(session.remove(card(1).id, 0).await, Ok(false));
    assert_eq!(session.remove(card(1).id, 2).await, Ok(false));
    assert_eq!(nodes(&mut *session).await.len(), 1);
    assert_eq!(session.remove(card(1).id, 1).await, Ok(true));
    assert_eq!(nodes(&mut *session).await.len(), 0);
}

#[tokio::test]
async fn what_was_applied_never_goes_back() {
    let (world, cluster) = world().await;
    let mut session = cluster.session();
    join(&mut *session, 1, None).await;
    assert_eq!(
        session.tell_applied(card(1).id, LogMark::BEGINNING).await,
        Ok(true)
    );
    let key = world.key("ada").await;
    for transition in [Transition::Suspend, Transition::Reactivate] {
        world.transition(&key, transition).await;
        world.transition(&key, Transition::Suspend).await;
    }
    for (told, seq) in [(2, 2), (1, 2), (3, 3)] {
        let mark = place(&mut *session, told).await;
        assert_eq!(session.tell_applied(card(1).id, mark).await, Ok(true));
        assert_eq!(nodes(&mut *session).await[0].applied_seq, seq);
    }
}

#[tokio::test]
async fn what_does_not_stand_in_the_log_is_not_told() {
    let (world, cluster) = world().await;
    let mut session = cluster.session();
    join(&mut *session, 1, None).await;
    let key = world.key("ada").await;
    world.transition(&key, Transition::Suspend).await;
    let real = place(&mut *session, 1).await;
    let invented = [
        LogMark { seq: 2, ..real },
        LogMark {
            nonce: [7; 16],
            ..real
        },
    ];
    for mark in invented {
        assert_eq!(session.tell_applied(card(1).id, mark).await, Ok(false));
    }
    assert_eq!(nodes(&mut *session).await[0].applied_seq, 0);
    // Nor does anybody tell for a node that is not there.
    assert_eq!(session.tell_applied(card(2).id, real).await, Ok(false));
    assert_eq!(session.tell_applied(card(1).id, real).await, Ok(true));
}

#[tokio::test]
async fn the_log_is_read_from_a_change_on() {
    let (world, cluster) = world().await;
    let mut session = cluster.session();
    let nothing = session.read_log(None).await.unwrap();
    assert_eq!((nothing.last_seq, nothing.rows.len()), (0, 0));

    let key = world.key("ada").await;
    world.transition(&key, Transition::Suspend).await;
    world.transition(&key, Transition::Suspend).await;
    world.transition(&key, Transition::Reactivate).await;
    world
        .store
        .delete_user(key.key.user_id.clone(), world.by())
        .await
        .unwrap();
    let log = session.read_log(Some(1)).await.unwrap();
    assert_eq!(log.last_seq, 3);
    let seqs: Vec<_> = log.rows.iter().map(|row| row.mark.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(log.rows[0].scope, Scope::Key(key.digest));
    assert_eq!(log.rows[2].scope, Scope::User(key.key.user_id));
    assert_ne!(log.rows[0].mark.nonce, log.rows[1].mark.nonce);
    let rest = session.read_log(Some(3)).await.unwrap();
    assert_eq!(rest.rows, log.rows[2..]);
    assert_eq!(session.read_log(None).await.unwrap().rows, rest.rows);
}

#[tokio::test]
async fn what_every_node_has_applied_is_trimmed_and_the_newest_change_stays() {
    let (world, cluster) = world().await;
    let mut session = cluster.session();
    let key = world.key("ada").await;
    for transition in [Transition::Suspend, Transition::Reactivate]
        .into_iter()
        .cycle()
        .take(6)
    {
        world.transition(&key, transition).await;
    }
    for number in [1, 2] {
        session.join(&card(number), 1, Some(0), None).await.unwrap();
    }
    let [fourth, sixth] = [place(&mut *session, 4).await, place(&mut *session, 6).await];
    session.tell_applied(card(1).id, sixth).await.unwrap();
    assert_eq!(world.store.trim_log(0).await, Ok(6));
    session.tell_applied(card(2).id, fourth).await.unwrap();
    assert_eq!(
        world.store.trim_log(0).await,
        Ok(3),
        "4 itself is what node 2 looks for"
    );
    session.tell_applied(card(2).id, sixth).await.unwrap();
    assert_eq!(world.store.trim_log(2).await, Ok(2));
    assert_eq!(world.store.trim_log(0).await, Ok(1));
}

#[tokio::test]
async fn an_embedded_database_is_trimmed_to_its_newest_changes_in_parts() {
    let world = World::on_sqlite().await;
    assert_eq!(world.store.trim_log(0).await, Ok(0));
    let key = world.key("ada").await;
    let cycle = [Transition::Suspend, Transition::Reactivate];
    for transition in cycle.into_iter().cycle().take(6) {
        world.transition(&key, transition).await;
    }
    assert_eq!(world.store.trim_log(10).await, Ok(6));
    assert_eq!(world.store.trim_log(4).await, Ok(4));
    let survey = world.store.survey().await.unwrap();
    assert_eq!((survey.last_seq, survey.log_rows), (6, 4));
    assert_eq!(world.store.trim_log(0).await, Ok(1), "the newest stays");
    world.transition(&key, Transition::Suspend).await;
    let log = world.change_log().await;
    let seqs: Vec<_> = log.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, [6, 7]);
    // Longer than what one transaction removes.
    world
        .execute(
            "WITH RECURSIVE more(seq) AS (SELECT 8 UNION ALL SELECT seq + 1 FROM more WHERE seq < 3000) \
             INSERT INTO change_log (seq, nonce, kind, user_id, at) SELECT seq, x'00', 'user', 'ada', 0 FROM more; \
             UPDATE cluster SET last_seq = 3000",
        )
        .await;
    assert_eq!(world.store.trim_log(5).await, Ok(5));
}

/// The place of a change in the log.
async fn place(session: &mut dyn ClusterSession, seq: u64) -> LogMark {
    session.read_log(Some(seq)).await.unwrap().rows[0].mark
}

/// What it is told of next.
async fn told(session: &mut dyn ClusterSession) -> Vec<Told> {
    let word = tokio::time::timeout(Duration::from_secs(30), session.word()).await;
    match word.expect("it is told").unwrap() {
        Word::Of(told) => told,
        Word::OfSome => panic!("it is told of nothing certain"),
    }
}

#[tokio::test]
async fn changes_are_told_of_as_they_stand_in_the_log() {
    let (world, cluster) = world().await;
    let mut session = cluster.listening_session();
    // It listens from here on.
    assert_eq!(session.read_log(None).await.unwrap().last_seq, 0);
    let key = world.key("ada").await;
    // No change of it: it is active.
    world.transition(&key, Transition::Reactivate).await;
    world.transition(&key, Transition::Suspend).await;
    let edit = KeyspaceEdit {
        self_service: Some(false),
        ..KeyspaceEdit::default()
    };
    world
        .store
        .edit_keyspace(keyspace_name("default"), edit, world.by())
        .await
        .unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(told(&mut *session).await);
    }
    let log = session.read_log(Some(1)).await.unwrap().rows;
    let mut after = LogMark::BEGINNING.nonce;
    let mut expected = Vec::new();
    for row in log {
        let nonce = row.mark.nonce;
        expected.push(Told { after, row });
        after = nonce;
    }
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn who_listens_is_told_of_no_user() {
    let (world, cluster) = world().await;
    let mut session = cluster.listening_session();
    session.read_log(None).await.unwrap();
    world.key("ada").await;
    let deleted = world.store.delete_user(user("ada"), world.by()).await;
    assert_eq!(deleted, Ok(true));
    let heard = tokio::time::timeout(Duration::from_secs(30), session.word()).await;
    assert_eq!(heard.expect("it is told"), Ok(Word::OfSome));
}

#[tokio::test]
async fn where_the_database_is_not_to_tell_nothing_is_told() {
    let (world, cluster) = world().await;
    let mut session = cluster.listening_session();
    session.read_log(None).await.unwrap();
    let options = Options {
        tells: false,
        ..Options::default()
    };
    let (clock, entropy) = (world.clock.clone(), Arc::new(Counting));
    let silent = PostgresStore::connect(postgres_url(&world), clock, entropy, options)
        .await
        .unwrap();
    let key = world.key("ada").await;
    let which = KeySelector::Id(key.key.id);
    let suspend = KeyEdit::Transition(Transition::Suspend);
    let edited = silent.edit_key(which, Caller::Operator, suspend, world.by());
    edited.await.unwrap();
    world.transition(&key, Transition::Reactivate).await;
    let heard = told(&mut *session).await;
    assert_eq!(heard[0].row.mark.seq, 2, "the first that is told of");
}

#[tokio::test]
async fn what_is_told_while_something_else_is_asked_is_not_lost() {
    let (world, cluster) = world().await;
    let mut session = cluster.listening_session();
    session.read_log(None).await.unwrap();
    let key = world.key("ada").await;
    world.transition(&key, Transition::Suspend).await;
    session.read_log(None).await.unwrap();
    world.transition(&key, Transition::Reactivate).await;
    session.read_log(None).await.unwrap();
    let mut seqs = Vec::new();
    while seqs.len() < 2 {
        let heard = told(&mut *session).await;
        seqs.extend(heard.iter().map(|told| told.row.mark.seq));
    }
    assert_eq!(seqs, [1, 2]);
}

#[tokio::test]
async fn edits_that_come_together_are_told_of_one_by_one() {
    let (world, cluster) = world().await;
    let mut session = cluster.listening_session();
    session.read_log(None).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(world.key("ada").await);
    }
    let suspended = keys
        .iter()
        .map(|key| world.transition(key, Transition::Suspend));
    futures::future::join_all(suspended).await;
    let mut heard = Vec::new();
    while heard.len() < keys.len() {
        heard.extend(told(&mut *session).await);
    }
    let mut place = LogMark::BEGINNING;
    for Told { after, row } in heard {
        assert_eq!((after, row.mark.seq), (place.nonce, place.seq + 1));
        place = row.mark;
    }
    assert_eq!(session.read_log(None).await.unwrap().rows[0].mark, place);
}

#[tokio::test]
async fn who_listens_is_told_that_the_connection_broke() {
    let (world, cluster) = world().await;
    let mut session = cluster.listening_session();
    session.read_log(None).await.unwrap();
    let end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    outside(&world, end_all.to_owned()).await;
    let broken = session.word().await;
    assert!(
        matches!(broken, Err(StoreError::Unavailable(_))),
        "{broken:?}"
    );
    // Of a connection that is not there nothing comes, until it is made again.
    assert!(session.word().now_or_never().is_none());
    session.read_log(None).await.unwrap();
    let key = world.key("ada").await;
    world.transition(&key, Transition::Suspend).await;
    assert_eq!(told(&mut *session).await.len(), 1);
}

#[tokio::test]
async fn a_session_goes_on_after_its_connection_broke() {
    let (world, cluster) = world().await;
    let mut session = cluster.session();
    join(&mut *session, 1, None).await;
    let end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    outside(&world, end_all.to_owned()).await;
    let broken = session.nodes().await;
    assert!(
        matches!(broken, Err(StoreError::Unavailable(_))),
        "{broken:?}"
    );
    assert_eq!(nodes(&mut *session).await.len(), 1);
}

#[tokio::test]
async fn a_node_of_another_protocol_does_not_join() {
    let (world, cluster) = world().await;
    outside(&world, "UPDATE cluster SET protocol = 3".to_owned()).await;
    let mut session = cluster.session();
    let refused = session.join(&card(1), 1, None, None).await;
    let Err(StoreError::NotWritable(why)) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains("another protocol"), "{why}");
    assert_eq!(nodes(&mut *session).await.len(), 0);
}

#[tokio::test]
async fn under_another_protocol_a_node_renews_no_more_and_changes_nothing() {
    let (world, cluster) = world().await;
    let [key, suspended] = [world.key("ada").await, world.key("ada").await];
    world.transition(&suspended, Transition::Suspend).await;
    let mut session = cluster.session();
    session.join(&card(1), 1, None, None).await.unwrap();
    outside(&world, "UPDATE cluster SET protocol = 3".to_owned()).await;
    let renewed = session.renew(card(1).id, 1, FIGURES).await.unwrap();
    assert_eq!(renewed, None);
    // A change, and one that holds already: its answer would be as good as a change's.
    for record in [&key, &suspended] {
        let refused = world
            .store
            .edit_key(
                KeySelector::Id(record.key.id),
                Caller::Operator,
                KeyEdit::Transition(Transition::Suspend),
                world.by(),
            )
            .await;
        assert!(
            matches!(&refused, Err(StoreError::NotWritable(why)) if why.contains("another protocol")),
            "{refused:?}"
        );
    }
    assert_eq!(world.look_up(&key).await, key);
    assert_eq!(world.logged().await.len(), 1);
}

#[tokio::test]
async fn a_process_of_an_older_protocol_can_make_no_change() {
    let (world, _cluster) = world().await;
    // As every version before leases wrote it.
    let old = "WITH bumped AS (UPDATE cluster SET last_seq = last_seq + 1 WHERE id = 1 RETURNING last_seq) \
         INSERT INTO change_log (seq, nonce, kind, user_id, at) SELECT last_seq, decode('00', 'hex'), 'user', 'a', 0 FROM bumped";
    let mut connection = sqlx::PgConnection::connect(postgres_url(&world))
        .await
        .unwrap();
    let refused = sqlx::raw_sql(AssertSqlSafe(old))
        .execute(&mut connection)
        .await;
    let refused = refused.expect_err("it names no protocol").to_string();
    assert!(refused.contains("protocol"), "{refused}");
}
