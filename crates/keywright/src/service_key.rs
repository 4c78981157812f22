//! Service keys that the program makes itself, straight in the database: the first of all, and one for when all are
//! lost.

mod delivery;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keywright_core::ambient::{Clock, EntropyError};
use keywright_core::audit::{Actor, ActorKind, Attribution};
use keywright_core::authority::Caller;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId, time_ordered_id};
use keywright_core::key::KeyRecord;
use keywright_core::key_text::KeyText;
use keywright_core::keyspace::SERVICE;
use keywright_core::text::KeyName;
use keywright_store::{KeyCreated, KeyQuery, Store};

use self::delivery::Delivery;
pub(crate) use self::delivery::is_service_key;
use crate::database;
use crate::failure::Failure;
use crate::output;
use crate::system::{SystemClock, SystemEntropy};

/// Where the text of a further service key goes.
#[derive(Debug, Clone)]
pub(crate) enum Destination {
    /// Standard output.
    Output,
    /// A file of its own.
    File(PathBuf),
}

/// Sees to it that there is a service key: makes one with every permission where there is none of any status. Of
/// several nodes that do so at once, one makes it. Its text is shown to somebody `at_terminal`, or else written to
/// the file at `path`.
///
/// # Errors
/// Where it cannot be made, or the file holds something else.
pub(crate) async fn ensure_first(
    store: &dyn Store,
    path: &Path,
    at_terminal: bool,
) -> Result<(), Failure> {
    if exists(store).await? {
        return delivery::finish_interrupted(store, path).await;
    }
    let minted = Minted::new(store, "serve", "first service key").await?;
    if at_terminal {
        if minted.create_first(store).await? {
            output::line(
                "The first service key, shown this once. Keep it where secrets are kept; commands take it from \
                 KEYWRIGHT_SERVICE_KEY:",
            )?;
            output::line(minted.text.expose())?;
        }
        return Ok(());
    }
    let delivery = Delivery::begin(path).await?;
    delivery.write(&minted.text)?;
    // Where the outcome is an error it may be unknown, and the next start finishes or clears it away.
    if minted.create_first(store).await? {
        delivery.finish()?;
        announce(path);
    } else {
        delivery.withdraw();
    }
    Ok(())
}

/// Says where the first service key is. That nobody listens is no reason for a server not to start.
fn announce(path: &Path) {
    let text = format!("first service key written to {}", path.display());
    if output::line(&text).is_err() {
        tracing::warn!("{text}");
    }
}

/// Makes a service key with every permission.
///
/// # Errors
/// Where it cannot be made, or its file holds something else.
pub(crate) async fn make_another(
    store: &dyn Store,
    destination: &Destination,
) -> Result<(), Failure> {
    let minted = Minted::new(store, "admin-key", "admin-key").await?;
    match destination {
        Destination::Output => {
            minted.create(store).await?;
            output::line(minted.text.expose())?;
            output::note(
                "A service key with every permission, shown this once: keep it where secrets are kept.",
            );
        }
        Destination::File(path) => {
            let delivery = Delivery::begin(path).await?;
            delivery.write(&minted.text)?;
            minted.create(store).await?;
            delivery.finish()?;
            output::line(&format!("service key written to {}", path.display()))?;
        }
    }
    Ok(())
}

/// Whether there is a service key, of whatever status.
pub(crate) async fn exists(store: &dyn Store) -> Result<bool, Failure> {
    let query = KeyQuery {
        user_id: Some(UserId::reserved()),
        status: None,
        keyspace: None,
        after: None,
        limit: 1,
    };
    let page = store
        .list_keys(&query)
        .await
        .map_err(|error| database::failed(&error))?;
    Ok(!page.entries.is_empty())
}

/// A service key that nobody knows of yet.
struct Minted {
    text: KeyText,
    record: KeyRecord,
    by: Attribution,
}

impl Minted {
    async fn new(store: &dyn Store, command: &str, name: &str) -> Result<Self, Failure> {
        // infallible: the name is well-formed, as a test of the built-in keyspaces shows
        let keyspace = KeyspaceName::new(SERVICE).expect("the built-in name is well-formed");
        let found = store
            .find_keyspace(&keyspace)
            .await
            .map_err(|error| database::failed(&error))?;
        let Some((keyspace, tag_keys)) = found else {
            return Err(Failure::refused(format!(
                "the database is damaged: it has no keyspace {SERVICE}"
            )));
        };
        let no_entropy = |error: EntropyError| Failure::refused(error.to_string());
        let text = KeyText::mint(&keyspace.prefix, tag_keys.newest(), &SystemEntropy)
            .map_err(no_entropy)?;
        let new_id = || time_ordered_id(&SystemClock, &SystemEntropy).map_err(no_entropy);
        let now = SystemClock.now();
        let grants = keyspace.catalogue.everything();
        let by = Attribution {
            entry_id: new_id()?,
            at: now,
            actor: Actor {
                kind: ActorKind::CommandLine,
                id: command.to_owned(),
            },
            ip: None,
            user_agent: None,
            request_id: None,
        };
        let record = KeyRecord::minted(
            &text,
            KeyId(new_id()?),
            Arc::new(keyspace),
            UserId::reserved(),
            // infallible: the names above are short
            KeyName::new(name).expect("a short name"),
            grants,
            now,
        );
        Ok(Self { text, record, by })
    }

    async fn create_first(&self, store: &dyn Store) -> Result<bool, Failure> {
        let made = store
            .create_first_service_key(self.record.clone(), self.by.clone())
            .await;
        made.map_err(|error| database::failed(&error))
    }

    async fn create(&self, store: &dyn Store) -> Result<(), Failure> {
        let made = store
            .create_key(self.record.clone(), Caller::Operator, self.by.clone())
            .await
            .map_err(|error| database::failed(&error))?;
        match made {
            KeyCreated::Done => Ok(()),
            // Whoever has the database may make every key.
            KeyCreated::Refused(refusal) => Err(Failure::refused(format!(
                "the service key was not made: {refusal:?}"
            ))),
        }
    }
}
