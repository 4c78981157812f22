//! How often keys were used: counts by hour, of each key, each user, each keyspace and of everything.
//!
//! Three tables of one shape. A list of all keys of a user or a keyspace is never needed to add their counts up: who
//! counts a use of a key counts it in all three.

use std::collections::{BTreeMap, BTreeSet};

use keywright_core::decision::Code;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId};
use keywright_core::timestamp::Timestamp;
use sqlx::{Decode, Encode, QueryBuilder, Row as _, Type};
use uuid::Uuid;

use super::{
    Change, Connection, Db, Failure, Made, Row, add_counts, gone_keys, query, write_last_uses,
};
use crate::usage::{hour_of_day, start_of};
use crate::{Period, Step, UsageBucket, UsageOf, UsageQuery, UseCount, code_number};

statements! {
    // Whoever holds it counts for no key that goes meanwhile; who deletes keys waits for those who count.
    HOLD_GATE = concat!("SELECT id FROM usage_gate WHERE id = 1", for_share!());
    CLOSE_GATE = concat!("SELECT id FROM usage_gate WHERE id = 1", for_update!());
    NEW_DAY = "INSERT INTO usage_days (day) VALUES ($1) ON CONFLICT (day) DO NOTHING";
    FORGET_DAYS = "DELETE FROM usage_days WHERE day < $1";
    KEYS_DEPART = "INSERT INTO departed_keys (key_id) SELECT id FROM api_keys WHERE user_id = $1 \
         ON CONFLICT (key_id) DO NOTHING";
    SOME_DEPARTED = concat!("SELECT key_id FROM departed_keys ORDER BY key_id LIMIT $1", for_update!());
    HAS_DEPARTED = "DELETE FROM departed_keys WHERE key_id = $1";
    FORGET_KEY = concat!("DELETE FROM key_uses WHERE key_id = $1 AND day ", among!("SELECT day FROM usage_days"));
    FORGET_USER = concat!("DELETE FROM user_uses WHERE user_id = $1 AND day ", among!("SELECT day FROM usage_days"));
}

/// The statements about one of the tables.
struct Table {
    hours: &'static str,
    days: &'static str,
    edge: &'static str,
    trim_to_edge: &'static str,
    trim: &'static str,
}

macro_rules! table {
    ($name:literal, $whose:literal) => {
        Table {
            hours: concat!(
                "SELECT day, hour, code, count FROM ",
                $name,
                " WHERE ",
                $whose,
                " = $1 AND day ",
                among!("SELECT day FROM usage_days WHERE day >= $2 AND day <= $3")
            ),
            days: concat!(
                "SELECT day, code, CAST(SUM(count) AS BIGINT) AS count FROM ",
                $name,
                " WHERE ",
                $whose,
                " = $1 AND day ",
                among!("SELECT day FROM usage_days WHERE day >= $2 AND day <= $3"),
                " GROUP BY day, code"
            ),
            // So many rows from the beginning, and no further than is read to remove them.
            edge: concat!(
                "SELECT day, ",
                $whose,
                " FROM ",
                $name,
                " WHERE day < $1 ORDER BY day, ",
                $whose,
                " LIMIT 1 OFFSET $2"
            ),
            trim_to_edge: concat!(
                "DELETE FROM ",
                $name,
                " WHERE (day, ",
                $whose,
                ") <= ($1, $2)"
            ),
            trim: concat!("DELETE FROM ", $name, " WHERE day < $1"),
        }
    };
}

const KEYS: Table = table!("key_uses", "key_id");
const USERS: Table = table!("user_uses", "user_id");
const KEYSPACES: Table = table!("keyspace_uses", "keyspace");

/// The statements about all three.
pub(super) const OF_TABLES: &[&str] = &[
    KEYS.hours,
    KEYS.days,
    KEYS.edge,
    KEYS.trim_to_edge,
    KEYS.trim,
    USERS.hours,
    USERS.days,
    USERS.edge,
    USERS.trim_to_edge,
    USERS.trim,
    KEYSPACES.hours,
    KEYSPACES.days,
    KEYSPACES.edge,
    KEYSPACES.trim_to_edge,
    KEYSPACES.trim,
];

/// What `keyspace_uses` has instead of a name for everything. No keyspace can be called so.
const EVERYTHING: &str = "*";
/// And for text that begins like no keyspace's keys.
const NO_KEYSPACE: &str = "";

/// Rows of one table: how often, by day, by whose it is, by hour and by the code's number. In this order they are
/// locked, by everybody.
pub(crate) type Rows<T> = BTreeMap<(i32, T, i16, i16), i64>;

/// What is to be added to the three tables.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) keys: Rows<Uuid>,
    pub(crate) users: Rows<String>,
    pub(crate) keyspaces: Rows<String>,
}

impl Counts {
    /// Adds everything up, without what is about keys that are `gone`: that counts for the keyspace alone.
    fn of(counts: &[UseCount], gone: &BTreeSet<Uuid>) -> Self {
        let mut sums = Self::default();
        for one in counts.iter().filter(|one| one.count > 0) {
            let (day, hour) = hour_of_day(one.hour);
            let code = code_number::of(one.code);
            let keyspace = one
                .keyspace
                .as_ref()
                .map_or(NO_KEYSPACE, KeyspaceName::as_str);
            add(
                &mut sums.keyspaces,
                (day, keyspace.to_owned(), hour, code),
                one.count,
            );
            add(
                &mut sums.keyspaces,
                (day, EVERYTHING.to_owned(), hour, code),
                one.count,
            );
            if let Some((KeyId(id), owner)) = &one.key
                && !gone.contains(id)
            {
                add(&mut sums.keys, (day, *id, hour, code), one.count);
                // Nobody asks for the owner of service keys.
                if !owner.is_reserved() {
                    add(
                        &mut sums.users,
                        (day, owner.to_string(), hour, code),
                        one.count,
                    );
                }
            }
        }
        sums
    }
}

fn add<T: Ord>(rows: &mut Rows<T>, at: (i32, T, i16, i16), count: u64) {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let sum = rows.entry(at).or_default();
    *sum = sum.saturating_add(count);
}

/// Adds to the counts: all of them or none.
pub(super) struct Count {
    pub(super) counts: Vec<UseCount>,
}

impl Change for Count {
    type Outcome = ();
    const DURABLE: bool = false;

    async fn make(&self, connection: &mut Connection) -> Result<Made<()>, Failure> {
        query(HOLD_GATE).fetch_optional(&mut *connection).await?;
        let keys: BTreeSet<Uuid> = self
            .counts
            .iter()
            .filter_map(|one| one.key.as_ref().map(|(id, _)| id.0))
            .collect();
        let gone = gone_keys(connection, keys).await?;
        let days: BTreeSet<i32> = self
            .counts
            .iter()
            .map(|one| hour_of_day(one.hour).0)
            .collect();
        for day in days {
            query(NEW_DAY).bind(day).execute(&mut *connection).await?;
        }
        add_counts(connection, &Counts::of(&self.counts, &gone)).await?;
        Ok(Made::unrecorded(()))
    }
}

/// How many keys one transaction notes the last use of: it locks their rows, and a revocation waits for it.
const LAST_USES: usize = 1000;

/// Notes when some keys were used last.
pub(super) struct NoteLastUses {
    /// Each key once, in the order of ids: who locks several rows locks them in one order.
    uses: Vec<(Uuid, i64)>,
}

impl NoteLastUses {
    /// Of several uses of one key, the last counts.
    pub(super) fn of(uses: &[(KeyId, Timestamp)]) -> Vec<Self> {
        let mut last = BTreeMap::new();
        for &(KeyId(id), at) in uses {
            let known = last.entry(id).or_insert(at);
            *known = at.max(*known);
        }
        let last: Vec<_> = last
            .into_iter()
            .map(|(id, at)| (id, at.as_micros()))
            .collect();
        last.chunks(LAST_USES)
            .map(|some| Self {
                uses: some.to_vec(),
            })
            .collect()
    }
}

impl Change for NoteLastUses {
    type Outcome = ();
    const DURABLE: bool = false;

    async fn make(&self, connection: &mut Connection) -> Result<Made<()>, Failure> {
        write_last_uses(connection, &self.uses).await?;
        Ok(Made::unrecorded(()))
    }
}

/// What was counted, in the steps that are asked for.
pub(super) async fn list(
    connection: &mut Connection,
    asked: &UsageQuery,
) -> Result<Vec<UsageBucket>, Failure> {
    match &asked.of {
        UsageOf::Key(KeyId(id)) => list_of(connection, &KEYS, *id, asked.over).await,
        UsageOf::User(id) => list_of(connection, &USERS, id.as_str(), asked.over).await,
        UsageOf::Keyspace(name) => list_of(connection, &KEYSPACES, name.as_str(), asked.over).await,
        UsageOf::Everything => list_of(connection, &KEYSPACES, EVERYTHING, asked.over).await,
    }
}

async fn list_of<'q, T: Encode<'q, Db> + Type<Db> + Send + 'q>(
    connection: &mut Connection,
    table: &Table,
    whose: T,
    over: Period,
) -> Result<Vec<UsageBucket>, Failure> {
    let statement = match over.step() {
        Step::Hour => table.hours,
        Step::Day => table.days,
    };
    let (first, last) = over.days();
    let found = sqlx::query::<Db>(statement)
        .bind(whose)
        .bind(first)
        .bind(last)
        .fetch_all(connection)
        .await?;
    let mut buckets: BTreeMap<Timestamp, BTreeMap<Code, u64>> = BTreeMap::new();
    for row in &found {
        let (start, code, count) = counted(row, over.step())?;
        if over.holds(start) {
            buckets.entry(start).or_default().insert(code, count);
        }
    }
    let bucket = |(start, counts)| UsageBucket { start, counts };
    Ok(buckets.into_iter().map(bucket).collect())
}

/// What was counted of each of some keys: each day of each is looked up.
pub(super) async fn list_by_key(
    connection: &mut Connection,
    keys: &[KeyId],
    over: Period,
) -> Result<BTreeMap<KeyId, Vec<UsageBucket>>, Failure> {
    let mut counted_by_key: BTreeMap<KeyId, BTreeMap<Timestamp, BTreeMap<Code, u64>>> =
        BTreeMap::new();
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut select = select_by_key(keys, over);
    for row in select.build().fetch_all(connection).await? {
        let (start, code, count) = counted(&row, Step::Hour)?;
        let start = over.bucket_of(start);
        if over.holds(start) {
            let buckets = counted_by_key.entry(KeyId(row.try_get("key_id")?));
            let counts = buckets.or_default().entry(start).or_default();
            *counts.entry(code).or_default() += count;
        }
    }
    let bucket = |(start, counts)| UsageBucket { start, counts };
    let listed = counted_by_key.into_iter();
    Ok(listed
        .map(|(key, buckets)| (key, buckets.into_iter().map(bucket).collect()))
        .collect())
}

pub(super) fn select_by_key(keys: &[KeyId], over: Period) -> QueryBuilder<Db> {
    let (first, last) = over.days();
    let mut select =
        QueryBuilder::new("SELECT key_id, day, hour, code, count FROM key_uses WHERE day IN (");
    let mut days = select.separated(", ");
    for day in first..=last {
        days.push_bind(day);
    }
    select.push(") AND key_id IN (");
    let mut ids = select.separated(", ");
    for KeyId(id) in keys {
        ids.push_bind(*id);
    }
    select.push(")");
    select
}

fn counted(row: &Row, step: Step) -> Result<(Timestamp, Code, u64), Failure> {
    let hour = match step {
        Step::Hour => row.try_get("hour")?,
        Step::Day => 0,
    };
    let code = code_number::read(row.try_get("code")?)
        .ok_or_else(|| Failure::Damaged("key_uses.code: unheard of".to_owned()))?;
    let count = u64::try_from(row.try_get::<i64, _>("count")?)
        .map_err(Failure::damaged("key_uses.count"))?;
    Ok((start_of(row.try_get("day")?, hour), code, count))
}

/// How many rows one transaction removes, or a few more: a key's own of the day with which it ends.
const TRIMMED_AT_ONCE: u32 = 5000;

/// One of the tables.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Keys,
    Users,
    Keyspaces,
}

/// Removes some rows of days before `day`, the oldest first.
pub(super) struct Trim {
    pub(super) of: Of,
    pub(super) day: i32,
}

/// What became of a removal in small parts.
pub(super) struct Removed {
    /// How many rows it removed.
    pub(super) rows: u64,
    /// Whether there may be more to remove.
    pub(super) more: bool,
}

impl Change for Trim {
    type Outcome = Removed;
    const DURABLE: bool = false;

    async fn make(&self, connection: &mut Connection) -> Result<Made<Removed>, Failure> {
        let removed = match self.of {
            Of::Keys => trim::<Uuid>(connection, &KEYS, self.day).await?,
            Of::Users => trim::<String>(connection, &USERS, self.day).await?,
            Of::Keyspaces => trim::<String>(connection, &KEYSPACES, self.day).await?,
        };
        Ok(Made::unrecorded(removed))
    }
}

async fn trim<T>(connection: &mut Connection, table: &Table, day: i32) -> Result<Removed, Failure>
where
    T: for<'r> Decode<'r, Db> + for<'q> Encode<'q, Db> + Type<Db> + Send + Unpin + 'static,
{
    let edge: Option<(i32, T)> = sqlx::query_as(table.edge)
        .bind(day)
        .bind(i64::from(TRIMMED_AT_ONCE) - 1)
        .fetch_optional(&mut *connection)
        .await?;
    let more = edge.is_some();
    let trim = match edge {
        Some((day, whose)) => query(table.trim_to_edge).bind(day).bind(whose),
        None => query(table.trim).bind(day),
    };
    let rows = trim.execute(connection).await?.rows_affected();
    Ok(Removed { rows, more })
}

/// Forgets days whose rows have been removed.
pub(super) struct ForgetDays {
    pub(super) before: i32,
}

impl Change for ForgetDays {
    type Outcome = ();
    const DURABLE: bool = false;

    async fn make(&self, connection: &mut Connection) -> Result<Made<()>, Failure> {
        query(FORGET_DAYS)
            .bind(self.before)
            .execute(connection)
            .await?;
        Ok(Made::unrecorded(()))
    }
}

/// How many keys' rows one transaction removes: each is looked for in every day there is.
const FORGOTTEN_AT_ONCE: u32 = 50;

/// Removes the rows of some keys that are gone.
pub(super) struct ForgetKeys;

impl Change for ForgetKeys {
    type Outcome = Removed;
    const DURABLE: bool = false;

    async fn make(&self, connection: &mut Connection) -> Result<Made<Removed>, Failure> {
        let departed: Vec<Uuid> = sqlx::query_scalar(SOME_DEPARTED)
            .bind(i64::from(FORGOTTEN_AT_ONCE))
            .fetch_all(&mut *connection)
            .await?;
        let more = !departed.is_empty();
        let mut rows = 0;
        for key in departed {
            let forgotten = query(FORGET_KEY).bind(key).execute(&mut *connection);
            rows += forgotten.await?.rows_affected();
            query(HAS_DEPARTED)
                .bind(key)
                .execute(&mut *connection)
                .await?;
            if rows >= u64::from(TRIMMED_AT_ONCE) {
                break;
            }
        }
        Ok(Made::unrecorded(Removed { rows, more }))
    }
}

/// Waits for those who count, and holds others back to the end of the transaction: before a user is locked.
pub(super) async fn close_gate(connection: &mut Connection) -> Result<(), Failure> {
    query(CLOSE_GATE).fetch_optional(connection).await?;
    Ok(())
}

/// Notes that the keys of a user are about to go. Their counts can no longer be asked for, as nobody finds the keys;
/// they are removed with what is too old, a little at a time.
pub(super) async fn keys_depart(
    connection: &mut Connection,
    owner: &UserId,
) -> Result<(), Failure> {
    query(KEYS_DEPART)
        .bind(owner.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes a user's own counts.
pub(super) async fn forget_user(connection: &mut Connection, id: &UserId) -> Result<(), Failure> {
    query(FORGET_USER)
        .bind(id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}
