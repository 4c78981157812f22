//! The keys, of which many are one user's, and how some were used.

use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::SystemClock;
use keywright_bench::database::Database;
use keywright_bench::loader::load;
use keywright_bench::population::{made_at, owner};
use keywright_bench::report::progress;
use keywright_core::ambient::Clock as _;
use keywright_core::decision::Code;
use keywright_core::key::KeyRecord;
use keywright_core::timestamp::Timestamp;
use keywright_store::{KeyQuery, UseCount, Uses};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

/// How many of the newest keys were used.
const USED: u32 = 200;

/// What the pages are asked about.
pub(crate) struct Filled {
    /// The user of many keys.
    pub(crate) of_many: String,
    /// The keys that were used.
    pub(crate) known: Vec<Known>,
}

/// A key, as far as it can be searched for.
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) postfix: String,
    pub(crate) user: String,
}

pub(crate) async fn fill(database: &Database, count: u64, of_one: u64) -> Outcome<Filled> {
    let population = database.population().await?;
    progress(format!("loading {count} keys"));
    load(database, &population, count).await?;
    let of_many = owner(0)?.to_string();
    give_to_one(database, &of_many, of_one).await?;
    progress("noting uses");
    let store = database.open().await?;
    let everybody = KeyQuery {
        user_id: None,
        status: None,
        keyspace: None,
        after: None,
        limit: USED,
    };
    let newest = store.list_keys(&everybody).await?.entries;
    for record in &newest {
        store.record_use(uses(record)).await?;
    }
    store.close().await;
    let known = newest.iter().map(|record| Known {
        id: record.key.id.to_string(),
        name: record.key.name.to_string(),
        prefix: record.key.prefix.clone(),
        postfix: record.key.postfix.clone(),
        user: record.key.user_id.to_string(),
    });
    Ok(Filled {
        of_many,
        known: known.collect(),
    })
}

/// Makes the first keys one user's.
async fn give_to_one(database: &Database, user: &str, keys: u64) -> Outcome {
    progress(format!("giving {keys} to one user"));
    let before = made_at(keys).as_micros();
    let statements = [
        format!(
            "UPDATE api_keys SET user_id = '{user}' WHERE created_at < {before} AND user_id <> ''"
        ),
        format!("DELETE FROM users WHERE created_at < {before} AND id NOT IN ('', '{user}')"),
        format!("UPDATE users SET api_keys = {keys} WHERE id = '{user}'"),
        "ANALYZE".to_owned(),
    ];
    match database.url() {
        None => {
            let mut file = SqliteConnection::connect_with(&database.bare_sqlite()).await?;
            // What an embedded server never has, the last one must not have either.
            for statement in statements.into_iter().take(3) {
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut file)
                    .await?;
            }
            file.close().await?;
        }
        Some(url) => {
            let mut connection = PgConnection::connect(url).await?;
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut connection)
                    .await?;
            }
            connection.close().await?;
        }
    }
    Ok(())
}

/// Of each of the last 24 hours and of each of the last 30 days.
fn uses(record: &KeyRecord) -> Uses {
    let now = SystemClock.now();
    let hours = (0..24).chain((2..30).map(|day| day * 24));
    let counts = hours.flat_map(|ago| {
        let at = now.saturating_sub(Duration::from_hours(ago));
        [
            (Code::Valid, 1000 + ago),
            (Code::InsufficientPermissions, 7),
        ]
        .map(|(code, count)| UseCount {
            hour: start_of_hour(at),
            keyspace: Some(record.key.keyspace.clone()),
            key: Some((record.key.id, record.key.user_id.clone())),
            code,
            count,
        })
    });
    Uses {
        last_used: vec![(record.key.id, now)],
        counts: counts.collect(),
    }
}

fn start_of_hour(at: Timestamp) -> Timestamp {
    let micros = at.as_micros();
    Timestamp::from_micros(micros - micros.rem_euclid(3_600_000_000))
}
