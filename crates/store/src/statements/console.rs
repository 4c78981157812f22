//! Who is signed in to the console, and which forms were sent.

use async_trait::async_trait;
use keywright_core::digest::Digest;
use keywright_core::identifier::KeyId;
use keywright_core::timestamp::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Change, Connection, Failure, Made, Row, ThisStore, meaning, measured, query, rows, timed_out,
    users,
};
use crate::StoreError;
use crate::console::{Console, LISTED_SESSIONS, Session, SignedIn};

macro_rules! session_columns {
    () => {
        "id, key_id, user_id, operator, began_at, seen_at, ends_at, ip, user_agent"
    };
}

/// Whose they are: `$1` and `$2`, of which one is NULL.
macro_rules! of_somebody {
    () => {
        "(key_id = $1 OR user_id = $2)"
    };
}

statements! {
    BEGIN_SESSION = "INSERT INTO console_sessions \
         (id, hash, key_id, user_id, operator, began_at, seen_at, ends_at, ip, user_agent) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    FIND_SESSION = concat!(
        "SELECT ", session_columns!(), " FROM console_sessions WHERE hash = $1 AND ends_at > $2 AND seen_at > $3"
    );
    NOTE_SESSION = "UPDATE console_sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2";
    LIST_SESSIONS = concat!(
        "SELECT ", session_columns!(), " FROM console_sessions WHERE ", of_somebody!(), " AND ends_at > $3 \
         AND seen_at > $4 ORDER BY began_at DESC, id DESC LIMIT $5"
    );
    END_SESSION = concat!("DELETE FROM console_sessions WHERE ", of_somebody!(), " AND id = $3");
    END_SESSIONS = concat!("DELETE FROM console_sessions WHERE ", of_somebody!());
    USE_FORM = "INSERT INTO console_forms (hash, used_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING";
    TRIM_SESSIONS = "DELETE FROM console_sessions WHERE ends_at < $1";
    TRIM_FORMS = "DELETE FROM console_forms WHERE used_at < $1";
}

/// What stands in the columns `key_id` and `user_id`.
fn columns(who: &SignedIn) -> (Option<Uuid>, Option<&str>) {
    match who {
        SignedIn::ServiceKey(id) => (Some(id.0), None),
        SignedIn::User { id, .. } => (None, Some(id.as_str())),
    }
}

fn session(row: &Row) -> Result<Session, Failure> {
    let key: Option<Uuid> = row.try_get("key_id")?;
    let who = match key {
        Some(id) => SignedIn::ServiceKey(KeyId(id)),
        None => SignedIn::User {
            id: rows::user_id(row.try_get("user_id")?)?,
            operator: row.try_get("operator")?,
        },
    };
    Ok(Session {
        id: row.try_get("id")?,
        who,
        began_at: rows::time(row, "began_at")?,
        seen_at: rows::time(row, "seen_at")?,
        ends_at: rows::time(row, "ends_at")?,
        ip: row.try_get("ip")?,
        user_agent: row.try_get("user_agent")?,
    })
}

async fn find(
    connection: &mut Connection,
    digest: &Digest,
    now: Timestamp,
    seen_after: Timestamp,
) -> Result<Option<Session>, Failure> {
    let found = query(FIND_SESSION)
        .bind(digest.as_bytes().as_slice())
        .bind(now.as_micros())
        .bind(seen_after.as_micros())
        .fetch_optional(connection)
        .await?;
    found.as_ref().map(session).transpose()
}

async fn list(
    connection: &mut Connection,
    who: &SignedIn,
    now: Timestamp,
    seen_after: Timestamp,
) -> Result<Vec<Session>, Failure> {
    let (key, user) = columns(who);
    let found = query(LIST_SESSIONS)
        .bind(key)
        .bind(user)
        .bind(now.as_micros())
        .bind(seen_after.as_micros())
        .bind(i64::from(LISTED_SESSIONS))
        .fetch_all(connection)
        .await?;
    found.iter().map(session).collect()
}

struct BeginSession {
    session: Session,
    digest: Digest,
}

impl Change for BeginSession {
    type Outcome = ();

    async fn make(&self, connection: &mut Connection) -> Result<Made<()>, Failure> {
        let Self { session, digest } = self;
        let mut operator = false;
        if let SignedIn::User { id, operator: is } = &session.who {
            operator = *is;
            users::insert(connection, id, session.began_at).await?;
        }
        let (key, user) = columns(&session.who);
        query(BEGIN_SESSION)
            .bind(session.id)
            .bind(digest.as_bytes().as_slice())
            .bind(key)
            .bind(user)
            .bind(operator)
            .bind(session.began_at.as_micros())
            .bind(session.seen_at.as_micros())
            .bind(session.ends_at.as_micros())
            .bind(session.ip.as_deref())
            .bind(session.user_agent.as_deref())
            .execute(connection)
            .await?;
        Ok(Made::unrecorded(()))
    }
}

struct NoteSession {
    id: Uuid,
    now: Timestamp,
}

impl Change for NoteSession {
    type Outcome = ();
    const DURABLE: bool = false;

    async fn make(&self, connection: &mut Connection) -> Result<Made<()>, Failure> {
        query(NOTE_SESSION)
            .bind(self.id)
            .bind(self.now.as_micros())
            .execute(connection)
            .await?;
        Ok(Made::unrecorded(()))
    }
}

struct EndSessions {
    who: SignedIn,
    /// That one; all of them where it is `None`.
    only: Option<Uuid>,
}

impl Change for EndSessions {
    type Outcome = u64;

    async fn make(&self, connection: &mut Connection) -> Result<Made<u64>, Failure> {
        let (key, user) = columns(&self.who);
        let ended = match self.only {
            Some(id) => query(END_SESSION).bind(key).bind(user).bind(id),
            None => query(END_SESSIONS).bind(key).bind(user),
        };
        let ended = ended.execute(connection).await?.rows_affected();
        Ok(Made::unrecorded(ended))
    }
}

struct UseForm {
    digest: Digest,
    now: Timestamp,
}

impl Change for UseForm {
    type Outcome = bool;

    async fn make(&self, connection: &mut Connection) -> Result<Made<bool>, Failure> {
        let used = query(USE_FORM)
            .bind(self.digest.as_bytes().as_slice())
            .bind(self.now.as_micros())
            .execute(connection)
            .await?;
        Ok(Made::unrecorded(used.rows_affected() == 1))
    }
}

struct TrimConsole {
    ended_before: Timestamp,
    sent_before: Timestamp,
}

impl Change for TrimConsole {
    type Outcome = ();
    const DURABLE: bool = false;

    async fn make(&self, connection: &mut Connection) -> Result<Made<()>, Failure> {
        for (statement, before) in [
            (TRIM_SESSIONS, self.ended_before),
            (TRIM_FORMS, self.sent_before),
        ] {
            query(statement)
                .bind(before.as_micros())
                .execute(&mut *connection)
                .await?;
        }
        Ok(Made::unrecorded(()))
    }
}

#[async_trait]
impl Console for ThisStore {
    async fn begin_session(&self, session: Session, digest: Digest) -> Result<(), StoreError> {
        self.change("begin_session", BeginSession { session, digest })
            .await
    }

    async fn find_session(
        &self,
        digest: &Digest,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        read!(self, "find_session", |connection| find(
            connection, digest, now, seen_after
        ))
    }

    async fn note_session(&self, id: Uuid, now: Timestamp) -> Result<(), StoreError> {
        self.change("note_session", NoteSession { id, now }).await
    }

    async fn list_sessions(
        &self,
        who: &SignedIn,
        now: Timestamp,
        seen_after: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        read!(self, "list_sessions", |connection| list(
            connection, who, now, seen_after
        ))
    }

    async fn end_session(&self, who: &SignedIn, id: Uuid) -> Result<bool, StoreError> {
        let (who, only) = (who.clone(), Some(id));
        let ended = self.change("end_session", EndSessions { who, only });
        Ok(ended.await? > 0)
    }

    async fn end_sessions(&self, who: &SignedIn) -> Result<u64, StoreError> {
        let (who, only) = (who.clone(), None);
        self.change("end_sessions", EndSessions { who, only }).await
    }

    async fn use_form(&self, digest: Digest, now: Timestamp) -> Result<bool, StoreError> {
        self.change("use_form", UseForm { digest, now }).await
    }

    async fn trim_console(
        &self,
        ended_before: Timestamp,
        sent_before: Timestamp,
    ) -> Result<(), StoreError> {
        let trim = TrimConsole {
            ended_before,
            sent_before,
        };
        self.change("trim_console", trim).await
    }
}
