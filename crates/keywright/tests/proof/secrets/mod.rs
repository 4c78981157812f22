//! A planted key is used in every way, the wrong ones too, and then looked for everywhere (DESIGN §6).

mod misuse;
mod needles;

use std::fs;

use keywright_testkit::TemporaryPostgres;
use serde_json::json;

use crate::support::{Answer, Database, JWT_SECRET, Launch, NewKey, World, eventually};
use needles::{Secret, as_text};

#[test]
fn on_sqlite_a_key_is_in_no_log_of_text_and_nowhere_else() {
    look_for_secrets(&World::on_sqlite_with(tracing("text")), None);
}

#[test]
fn on_sqlite_a_key_is_in_no_log_of_json_and_nowhere_else() {
    look_for_secrets(&World::on_sqlite_with(tracing("json")), None);
}

#[test]
fn on_postgres_a_key_is_in_no_log_of_text_and_nowhere_else() {
    let cluster = TemporaryPostgres::start();
    look_for_secrets(
        &World::on_cluster(&cluster, tracing("text")),
        Some(&cluster),
    );
}

#[test]
fn on_postgres_a_key_is_in_no_log_of_json_and_nowhere_else() {
    let cluster = TemporaryPostgres::start();
    look_for_secrets(
        &World::on_cluster(&cluster, tracing("json")),
        Some(&cluster),
    );
}

fn tracing(format: &str) -> Launch {
    Launch::default()
        .with("KEYWRIGHT_LOG", "trace")
        .with("KEYWRIGHT_LOG_FORMAT", format)
}

fn look_for_secrets(world: &World, cluster: Option<&TemporaryPostgres>) {
    let key = use_a_key_rightly(world);
    let mut answers = misuse::use_it_wrongly(world, &key);
    answers.extend(let_statements_fail(world, &key));
    let metrics = world.nobody().get("/metrics").body;
    assert!(metrics.contains("keywright_decisions_total"), "{metrics}");
    let audit = world
        .admin()
        .clone()
        .with("Accept", "application/x-ndjson")
        .get("/api/audit")
        .body;
    let dump = world.database.dump();
    let files = database_files(world);
    world.restart();

    let log = world.node.log();
    for told in ["TRACE", "DEBUG", "/api/verify", "/api/api-keys/{key_id}"] {
        assert!(log.contains(told), "nothing of {told} is in the log: {log}");
    }
    let mut places = vec![
        ("the log".to_owned(), log),
        ("standard output".to_owned(), world.node.printed()),
        ("the metrics".to_owned(), metrics),
        ("the audit log".to_owned(), audit),
    ];
    for answer in answers {
        let place = format!(
            "the answer {} {} {:?}",
            answer.status, answer.body, answer.headers
        );
        places.push((place.clone(), place));
    }
    if let Some(cluster) = cluster {
        let log = fs::read(cluster.log_file()).expect("PostgreSQL logs");
        assert!(
            as_text(&log).contains("STATEMENT"),
            "no statement has failed"
        );
        places.push(("PostgreSQL's log".to_owned(), as_text(&log)));
    }

    let token = world.token("ada");
    let signature = token.rsplit('.').next().expect("a JWT");
    let kept = fs::read_to_string(world.node.data().join("jwt-secret"));
    let secret = kept.as_deref().map_or(JWT_SECRET, str::trim);
    for (name, text) in [("a JWT", signature), ("the JWT secret", secret)] {
        let secret = Secret::text(name, text);
        secret.is_in_none_of(&places);
        secret.is_not_in("the dump", &dump);
        secret.is_in_none_of(&files);
    }
    for (name, text) in [
        ("the key", key.text.as_str()),
        ("the service key", world.admin_key()),
    ] {
        let secret = Secret::key(name, text);
        secret.is_in_none_of(&places);
        // Its hash is where it must be, and once more in the change log for each change: elsewhere it is not.
        secret.without_hash().is_not_in("the dump", &dump);
        assert_eq!(
            secret.hashes_in(&dump),
            hashes_in_their_columns(world, &secret),
            "{name}"
        );
        secret.without_hash().is_in_none_of(&files);
    }
    if let Some(password) = password(world) {
        let secret = Secret::text("the password", password);
        secret.is_in_none_of(&places);
    }
}

/// Everything that is done with keys, as it should be.
fn use_a_key_rightly(world: &World) -> NewKey {
    let (ada, admin) = (world.user("ada"), world.admin());
    let key = ada.key("planted");
    let holder = world.holder(&key.text);
    assert_eq!(admin.verify(&key), "VALID");
    let asked = json!({"key": key.text, "permissions": ["EXECUTE_GRAPH"]});
    assert_eq!(admin.ask(&asked)["code"], "INSUFFICIENT_PERMISSIONS");
    admin
        .post(
            "/api/verify/batch",
            &json!({"requests": [{"key": key.text}, asked]}),
        )
        .ok();
    holder.get("/api/whoami").ok();
    ada.patch(&key.path(), &json!({"description": "a canary"}))
        .ok();
    ada.put(
        &format!("{}/permissions", key.path()),
        &json!({"permissions": []}),
    )
    .ok();
    ada.suspend(&key);
    assert_eq!(admin.verify(&key), "SUSPENDED");
    ada.reactivate(&key);
    eventually("its use is written", || {
        ada.get(&key.path()).ok()["last_used_at"]
            .as_str()
            .map(|_| ())
    });
    key
}

/// Takes the table of keys away for a while, so that every statement about keys fails.
fn let_statements_fail(world: &World, key: &NewKey) -> Vec<Answer> {
    let (ada, admin, holder) = (world.user("ada"), world.admin(), world.holder(&key.text));
    // A key that has just changed is in no server's memory.
    ada.suspend(key);
    ada.reactivate(key);
    world
        .database
        .query("ALTER TABLE api_keys RENAME TO taken_away");
    let wanted = json!({"name": "a", "permissions": []});
    let answers = vec![
        admin.post("/api/verify", &json!({"key": key.text})),
        holder.get("/api/whoami"),
        holder.delete("/api/whoami"),
        ada.post("/api/api-keys", &wanted),
        ada.delete(&key.path()),
    ];
    world
        .database
        .query("ALTER TABLE taken_away RENAME TO api_keys");
    for answer in &answers {
        answer.problem(500, "internal");
    }
    assert_eq!(
        world.holder(&key.text).delete("/api/whoami").ok()["status"],
        "REVOKED"
    );
    assert_eq!(admin.verify(key), "REVOKED");
    answers
}

/// The files of an embedded database, as they are on the disk while it is in use.
fn database_files(world: &World) -> Vec<(String, String)> {
    let Database::Sqlite(file) = &world.database else {
        return Vec::new();
    };
    let read = |ending: &str| {
        let name = format!("{}{ending}", file.display());
        let content = fs::read(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, as_text(&content))
    };
    ["", "-wal", "-shm"].map(read).into()
}

/// How often the hash of a key stands in the columns that are made for it.
fn hashes_in_their_columns(world: &World, secret: &Secret) -> usize {
    let hash = match world.database {
        Database::Sqlite(_) => format!("X'{}'", secret.hash_in_hex()),
        Database::Shared(_) | Database::Own(_) => format!("'\\x{}'", secret.hash_in_hex()),
    };
    let count = world.database.number(&format!(
        "SELECT (SELECT COUNT(*) FROM api_keys WHERE hash = {hash}) + \
         (SELECT COUNT(*) FROM change_log WHERE key_hash = {hash})"
    ));
    usize::try_from(count).expect("a count")
}

fn password(world: &World) -> Option<&str> {
    let (_, rest) = world.database.url()?.split_once("://")?;
    rest.split_once('@')?
        .0
        .split_once(':')
        .map(|(_, password)| password)
}
