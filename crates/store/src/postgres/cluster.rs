//! What nodes ask of the database that they share, each task on a connection of its own.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use keywright_core::digest::Digest;
use keywright_core::identifier::KeyspaceName;
use keywright_core::timestamp::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{Acquire as _, AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::statements::{self, rows};
use super::{Connection, Options, PostgresStore, Row, connecting, literal, meaning, word};
use crate::cluster::{
    Agreed, Cluster, ClusterSession, Joined, LOG_PART, LeaseTerms, LogMark, LogPart, LogRow,
    NodeCard, NodeFigures, NodeId, NodeRow, PROTOCOL, Survey, Word,
};
use crate::failure::{Failure, timed_out};
use crate::{OpenError, Scope, StoreError};

/// Held while a node joins, so that two first ones do not both set the terms: "kw" and "jo", as one number.
const JOINING: i64 = 0x6b77_6a6f;

macro_rules! node_columns {
    () => {
        concat!(
            "n.node_id, n.name, n.version, n.address, n.joined_at, n.renewal, n.applied_seq, n.keys, n.hits, n.misses, ",
            in_recovery!()
        )
    };
}

/// Durable, whatever the server's own setting is, and only while the cluster follows the protocol `$6`.
pub(super) const RENEW: &str = concat!(
    "WITH durable AS (SELECT set_config('synchronous_commit', 'on', true)), \
     mine AS (UPDATE nodes SET renewal = renewal + 1, keys = $3, hits = $4, misses = $5 FROM durable \
         WHERE node_id = $1 AND renewal = $2 \
         AND EXISTS (SELECT 1 FROM cluster WHERE id = 1 AND protocol = $6) RETURNING node_id) \
     SELECT ",
    node_columns!(),
    ", EXISTS (SELECT 1 FROM mine) AS renewed FROM nodes n"
);
pub(super) const NODES: &str = concat!("SELECT ", node_columns!(), " FROM nodes n");
/// From the side of `cluster`, so that there is a row where there are no nodes.
pub(super) const SURVEY: &str = concat!(
    "SELECT c.last_seq, c.lease_ms, c.margin_ms, c.protocol, (SELECT MIN(seq) FROM change_log) AS oldest, ",
    node_columns!(),
    " FROM cluster c LEFT JOIN nodes n ON TRUE WHERE c.id = 1 ORDER BY n.node_id"
);
/// It may be lost with the machine: then the node finds its row so at its next renewal, and tells it again. What is told must
/// stand in the log, of this history: a node may have heard of it only.
pub(super) const TELL: &str = "WITH relaxed AS (SELECT set_config('synchronous_commit', 'off', true)) \
     UPDATE nodes SET applied_seq = GREATEST(applied_seq, CAST($2 AS BIGINT)) FROM relaxed WHERE node_id = $1 \
     AND (CAST($2 AS BIGINT) = 0 OR EXISTS (SELECT 1 FROM change_log WHERE seq = $2 AND nonce = $3))";
pub(super) const REMOVE: &str = "DELETE FROM nodes WHERE node_id = $1 AND renewal = $2";
pub(super) const LEAVE: &str = "DELETE FROM nodes WHERE node_id = $1";
/// From the side of `cluster`, so that an empty log has a last seq too; of one snapshot, as any statement is.
pub(super) const READ_LOG: &str = concat!(
    "SELECT c.last_seq, ",
    in_recovery!(),
    ", l.seq, l.nonce, l.kind, l.key_hash, l.user_id, l.keyspace \
     FROM cluster c LEFT JOIN change_log l ON l.seq >= COALESCE($1, c.last_seq) WHERE c.id = 1 \
     ORDER BY l.seq LIMIT $2"
);
/// Who answers is not the primary: what it says may be old.
pub(super) fn primary_only(row: &Row) -> Result<(), Failure> {
    if row.try_get("in_recovery")? {
        return Err(Failure::Standby);
    }
    Ok(())
}

impl Cluster for PostgresStore {
    fn session(&self) -> Box<dyn ClusterSession> {
        Box::new(self.session_that(false))
    }

    fn listening_session(&self) -> Box<dyn ClusterSession> {
        Box::new(self.session_that(true))
    }
}

impl PostgresStore {
    fn session_that(&self, listens: bool) -> Session {
        // A node asks the same few things all the time: they are planned once.
        let planned_once = [("plan_cache_mode", "force_generic_plan")];
        Session {
            address: self.address.clone().options(planned_once),
            listens,
            link: None,
            patience: self.patience,
        }
    }
}

/// One connection, and how to make it again.
struct Session {
    address: PgConnectOptions,
    listens: bool,
    link: Option<Link>,
    patience: Duration,
}

enum Link {
    Quiet(Connection),
    /// What is told on it was committed in the database that is asked on it.
    Listening(PgListener),
}

impl Link {
    async fn made(
        address: &PgConnectOptions,
        listens: bool,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        if !listens {
            let made = connecting::connect(address, patience).await;
            return made.map(Self::Quiet).map_err(not_connected);
        }
        let only = Options {
            max_connections: 1,
            patience,
            ..Options::default()
        };
        let pool = connecting::pool(address.clone(), &only);
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // One that broke is made again where it is known that something may have been missed.
            listener.eager_reconnect(false);
            listener.listen(word::CHANNEL).await?;
            Ok(Self::Listening(listener))
        };
        listening
            .await
            .map_err(|error: sqlx::Error| meaning(error.into()))
    }

    async fn connection(&mut self) -> Result<&mut Connection, sqlx::Error> {
        match self {
            Self::Quiet(connection) => Ok(connection),
            Self::Listening(listener) => listener.acquire().await,
        }
    }
}

/// Asks one thing within the time that a statement may take. A connection on which something went wrong is not used
/// again: what was asked may still be on its way.
macro_rules! ask {
    ($session:ident, |$connection:ident| $work:expr) => {{
        let patience = $session.patience;
        let asked = async {
            let mut link = match $session.link.take() {
                Some(link) => link,
                None => Link::made(&$session.address, $session.listens, patience).await?,
            };
            let answer: Result<_, Failure> = async {
                let $connection = link.connection().await?;
                $work
            }
            .await;
            let answer = answer.map_err(meaning)?;
            $session.link = Some(link);
            Ok(answer)
        };
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(timed_out()),
        }
    }};
}

#[async_trait]
impl ClusterSession for Session {
    async fn join(
        &mut self,
        node: &NodeCard,
        renewal: u64,
        applied: Option<u64>,
        wanted: Option<LeaseTerms>,
    ) -> Result<Joined, StoreError> {
        let text = joining(node, renewal, applied, wanted);
        ask!(self, |connection| {
            let rows = sqlx::raw_sql(AssertSqlSafe(text))
                .fetch_all(connection)
                .await?;
            // Of the two selections in it, the last.
            let row = rows
                .last()
                .ok_or_else(|| Failure::Damaged("cluster: there is no row".to_owned()))?;
            own_protocol_only(row)?;
            Ok(Joined { terms: terms(row)? })
        })
    }

    async fn renew(
        &mut self,
        id: NodeId,
        renewal: u64,
        figures: NodeFigures,
    ) -> Result<Option<Vec<NodeRow>>, StoreError> {
        ask!(self, |connection| {
            let rows = sqlx::query(RENEW)
                .bind(id.0)
                .bind(renewal.cast_signed())
                .bind(figures.keys.cast_signed())
                .bind(figures.hits.cast_signed())
                .bind(figures.misses.cast_signed())
                .bind(PROTOCOL.cast_signed())
                .fetch_all(connection)
                .await?;
            let mut renewed = false;
            for row in &rows {
                renewed = row.try_get("renewed")?;
            }
            let nodes = rows.iter().map(node).collect::<Result<_, _>>()?;
            Ok(renewed.then_some(nodes))
        })
    }

    async fn read_log(&mut self, from: Option<u64>) -> Result<LogPart, StoreError> {
        ask!(self, |connection| {
            let rows = sqlx::query(READ_LOG)
                .bind(from.map(u64::cast_signed))
                .bind(i64::try_from(LOG_PART).unwrap_or(i64::MAX))
                .fetch_all(connection)
                .await?;
            let first = rows
                .first()
                .ok_or_else(|| Failure::Damaged("cluster: there is no row".to_owned()))?;
            primary_only(first)?;
            let last_seq: i64 = first.try_get("last_seq")?;
            Ok(LogPart {
                last_seq: last_seq.cast_unsigned(),
                rows: rows
                    .iter()
                    .filter_map(|row| logged(row).transpose())
                    .collect::<Result<_, _>>()?,
            })
        })
    }

    async fn tell_applied(&mut self, id: NodeId, mark: LogMark) -> Result<bool, StoreError> {
        ask!(self, |connection| {
            let told = sqlx::query(TELL)
                .bind(id.0)
                .bind(mark.seq.cast_signed())
                .bind(mark.nonce.as_slice())
                .execute(connection)
                .await?;
            Ok(told.rows_affected() > 0)
        })
    }

    async fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreError> {
        ask!(self, |connection| {
            let rows = sqlx::query(NODES).fetch_all(connection).await?;
            rows.iter().map(node).collect()
        })
    }

    async fn remove(&mut self, id: NodeId, renewal: u64) -> Result<bool, StoreError> {
        ask!(self, |connection| {
            let removed = sqlx::query(REMOVE)
                .bind(id.0)
                .bind(renewal.cast_signed())
                .execute(connection)
                .await?;
            Ok(removed.rows_affected() > 0)
        })
    }

    async fn leave(&mut self, id: NodeId) -> Result<(), StoreError> {
        ask!(self, |connection| {
            sqlx::query(LEAVE).bind(id.0).execute(connection).await?;
            Ok(())
        })
    }

    async fn word(&mut self) -> Result<Word, StoreError> {
        let Some(Link::Listening(listener)) = &mut self.link else {
            return std::future::pending().await;
        };
        let mut heard = listener.try_recv().await;
        // Nothing is waited for from here on: what was heard is not lost.
        let (mut told, mut all_are_understood) = (Vec::new(), true);
        for _ in 0..LOG_PART {
            match heard {
                Ok(Some(notification)) => match word::told(notification.payload()) {
                    Some(one) => told.push(one),
                    None => all_are_understood = false,
                },
                // The driver would make the connection again by itself, perhaps to another database.
                Ok(None) => {
                    self.link = None;
                    let broke = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
                    return Err(meaning(broke.into()));
                }
                Err(error) => {
                    self.link = None;
                    return Err(meaning(error.into()));
                }
            }
            match listener.try_recv().now_or_never() {
                Some(next) => heard = next,
                None if all_are_understood => return Ok(Word::Of(told)),
                None => return Ok(Word::OfSome),
            }
        }
        // The last one that was heard is not in it.
        Ok(Word::OfSome)
    }
}

fn not_connected(error: OpenError) -> StoreError {
    match error {
        OpenError::Store(error) => error,
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// All of a joining in one message, so that no lock is held while the server waits for this process.
fn joining(
    node: &NodeCard,
    renewal: u64,
    applied: Option<u64>,
    wanted: Option<LeaseTerms>,
) -> String {
    let terms = wanted.map_or_else(String::new, |LeaseTerms { lease, margin }| {
        format!(
            "UPDATE cluster SET lease_ms = {}, margin_ms = {} WHERE id = 1 AND NOT EXISTS (SELECT 1 FROM nodes); ",
            lease.as_millis(),
            margin.as_millis()
        )
    });
    let NodeCard {
        id,
        name,
        version,
        address,
        since,
    } = node;
    let applied = literal::optional(applied, |seq| seq.to_string());
    let (id, since) = (id.0, since.as_micros());
    let (name, version, address) = (
        literal::text(name),
        literal::text(version),
        literal::text(address),
    );
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '5s'; \
         SELECT CAST(pg_advisory_xact_lock({JOINING}) AS TEXT); {terms}\
         INSERT INTO nodes (node_id, name, version, address, joined_at, renewal, applied_seq, keys, hits, misses) \
         SELECT '{id}', {name}, {version}, {address}, {since}, {renewal}, COALESCE({applied}, last_seq), 0, 0, 0 \
         FROM cluster WHERE id = 1 AND protocol = {PROTOCOL} \
         ON CONFLICT (node_id) DO UPDATE SET renewal = EXCLUDED.renewal, applied_seq = EXCLUDED.applied_seq \
         WHERE nodes.renewal < EXCLUDED.renewal; \
         SELECT lease_ms, margin_ms, protocol FROM cluster WHERE id = 1; COMMIT"
    )
}

/// Refuses where a row of `cluster` says that its nodes wait for each other by other rules than this program's.
pub(super) fn own_protocol_only(row: &Row) -> Result<(), Failure> {
    if row.try_get::<i64, _>("protocol")? == PROTOCOL.cast_signed() {
        Ok(())
    } else {
        Err(another_protocol())
    }
}

pub(super) fn another_protocol() -> Failure {
    Failure::Refused(StoreError::NotWritable(format!(
        "its nodes follow another protocol than this version of keywright, which follows {PROTOCOL}: run one version"
    )))
}

/// The terms in a row of `cluster`.
pub(super) fn terms(row: &Row) -> Result<LeaseTerms, Failure> {
    let millis = |column: &'static str| {
        u64::try_from(row.try_get::<i64, _>(column)?)
            .map(Duration::from_millis)
            .map_err(Failure::damaged(column))
    };
    Ok(LeaseTerms {
        lease: millis("lease_ms")?,
        margin: millis("margin_ms")?,
    })
}

/// What stands in the tables of the cluster, for whoever wants to look at it.
pub(super) async fn survey(connection: &mut Connection) -> Result<Survey, Failure> {
    let rows = sqlx::query(SURVEY).fetch_all(connection).await?;
    let first = rows
        .first()
        .ok_or_else(|| Failure::Damaged("cluster: there is no row".to_owned()))?;
    primary_only(first)?;
    let (last_seq, log_rows) = statements::extent_of_log(first)?;
    let is_node = |row: &&Row| !matches!(row.try_get::<Option<Uuid>, _>("node_id"), Ok(None));
    Ok(Survey {
        last_seq,
        log_rows,
        agreed: Some(Agreed {
            protocol: first.try_get::<i64, _>("protocol")?.cast_unsigned(),
            terms: terms(first)?,
        }),
        nodes: rows
            .iter()
            .filter(is_node)
            .map(node)
            .collect::<Result<_, _>>()?,
    })
}

fn scope(row: &Row) -> Result<Scope, Failure> {
    Ok(match row.try_get("kind")? {
        "key" => {
            let hash: &[u8] = row.try_get("key_hash")?;
            let digest = hash
                .try_into()
                .map_err(Failure::damaged("change_log.key_hash"))?;
            Scope::Key(Digest::from_bytes(digest))
        }
        "user" => Scope::User(rows::user_id(row.try_get("user_id")?)?),
        "keyspace" => Scope::Keyspace(
            KeyspaceName::new(row.try_get::<String, _>("keyspace")?)
                .map_err(Failure::damaged("change_log.keyspace"))?,
        ),
        _ => return Err(Failure::Damaged("change_log.kind: unheard of".to_owned())),
    })
}

fn node(row: &Row) -> Result<NodeRow, Failure> {
    primary_only(row)?;
    let number = |column: &str| -> Result<u64, Failure> {
        Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
    };
    Ok(NodeRow {
        card: NodeCard {
            id: NodeId(row.try_get("node_id")?),
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            address: row.try_get("address")?,
            since: Timestamp::from_micros(row.try_get("joined_at")?),
        },
        renewal: number("renewal")?,
        applied_seq: number("applied_seq")?,
        figures: NodeFigures {
            keys: number("keys")?,
            hits: number("hits")?,
            misses: number("misses")?,
        },
    })
}

fn logged(row: &Row) -> Result<Option<LogRow>, Failure> {
    let Some(seq) = row.try_get::<Option<i64>, _>("seq")? else {
        return Ok(None);
    };
    let nonce: &[u8] = row.try_get("nonce")?;
    Ok(Some(LogRow {
        mark: LogMark {
            seq: seq.cast_unsigned(),
            nonce: nonce
                .try_into()
                .map_err(Failure::damaged("change_log.nonce"))?,
        },
        scope: scope(row)?,
    }))
}
