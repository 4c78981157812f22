//! A server of its own for every test, in one line.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keywright_core::ambient::Clock;
use keywright_core::audit::{Actor, ActorKind, Attribution};
use keywright_core::authority::Caller;
use keywright_core::identifier::{KeyId, KeyspaceName, UserId, time_ordered_id};
use keywright_core::key::KeyRecord;
use keywright_core::key_text::KeyText;
use keywright_core::text::KeyName;
use keywright_server::{JwtSettings, Server, Settings, Stopped, Surroundings};
use keywright_store::{KeyCreated, Store};
use secrecy::SecretString;
use tokio::net::TcpListener;

use super::ambient::{ManualClock, SeededEntropy};
use super::browser::Browser;
use super::client::Client;
use super::database::{Database, Kind};
use super::raw::Connection;
use super::store::{Fault, FaultyStore};
use super::token::{SECRET, Token};

/// What a service key can be allowed.
pub(crate) const ALL_OPERATIONS: [&str; 9] = [
    "keys:verify",
    "keys:read",
    "keys:write",
    "users:read",
    "users:write",
    "keyspaces:read",
    "keyspaces:write",
    "audit:read",
    "cluster:read",
];

/// A running server, and everything around it that a test can move.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) address: SocketAddr,
    /// Where `/metrics` is, if it has a listener of its own.
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) store: Arc<FaultyStore>,
    entropy: Arc<SeededEntropy>,
    http: reqwest::Client,
    admin: Mutex<Option<String>>,
    server: Option<Server>,
    database: Database,
}

impl World {
    /// A server with the tests' usual settings.
    pub(crate) async fn on(kind: Kind) -> Self {
        Self::with(kind, |_| ()).await
    }

    /// A server with settings that differ from the usual ones.
    pub(crate) async fn with(kind: Kind, change: impl FnOnce(&mut Settings)) -> Self {
        Self::start(kind, change, None).await
    }

    /// A server with a listener of its own for `/metrics`.
    pub(crate) async fn with_metrics_apart(kind: Kind) -> Self {
        let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start(kind, |_| (), Some(metrics)).await
    }

    async fn start(
        kind: Kind,
        change: impl FnOnce(&mut Settings),
        metrics: Option<TcpListener>,
    ) -> Self {
        let clock = Arc::new(ManualClock::new());
        let entropy = Arc::new(SeededEntropy::new());
        let database = Database::fresh(kind);
        let real = database.open(clock.clone(), entropy.clone()).await;
        let store = Arc::new(FaultyStore::over(real));
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = api.local_addr().unwrap();
        let metrics_address = metrics.as_ref().map(|own| own.local_addr().unwrap());
        let mut settings = usual_settings();
        change(&mut settings);
        let surroundings = Surroundings {
            store: store.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let server = Server::start(api, metrics, surroundings, settings).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("keywright-suite/1")
            .build()
            .unwrap();
        Self {
            clock,
            address,
            metrics: metrics_address,
            store,
            entropy,
            http,
            admin: Mutex::default(),
            server: Some(server),
            database,
        }
    }

    /// Somebody without a credential.
    pub(crate) fn anonymous(&self) -> Client {
        self.anonymous_at(self.address)
    }

    pub(crate) fn anonymous_at(&self, address: SocketAddr) -> Client {
        Client::new(self.http.clone(), format!("http://{address}").into())
    }

    /// Somebody at the console who is not signed in.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.http.clone(), format!("http://{}", self.address))
    }

    /// A user, by a JWT.
    pub(crate) fn user(&self, sub: &str) -> Client {
        self.anonymous().bearer(&Token::of(sub).signed())
    }

    /// Whoever holds this text of a key.
    pub(crate) fn holder(&self, key: &str) -> Client {
        self.anonymous().with("x-api-key", key)
    }

    /// A program with a new service key that holds these operations.
    pub(crate) async fn service(&self, operations: &[&str]) -> Client {
        let (_, text) = self.service_key(operations).await;
        self.anonymous().bearer(&text)
    }

    /// A program with the service key of this world that holds every operation.
    pub(crate) async fn admin(&self) -> Client {
        let known = self.admin.lock().unwrap().clone();
        let text = match known {
            Some(text) => text,
            None => self.service_key(&ALL_OPERATIONS).await.1,
        };
        *self.admin.lock().unwrap() = Some(text.clone());
        self.anonymous().bearer(&text)
    }

    /// Makes a service key straight in the store, as the command line does; its id and its text.
    pub(crate) async fn service_key(&self, operations: &[&str]) -> (String, String) {
        let name = KeyspaceName::new("keywright").unwrap();
        let found = self.store.find_keyspace(&name).await.unwrap();
        let (keyspace, tag_keys) = found.expect("keywright is built in");
        let text = KeyText::mint(&keyspace.prefix, tag_keys.newest(), &*self.entropy).unwrap();
        let id = KeyId(time_ordered_id(&*self.clock, &*self.entropy).unwrap());
        let now = self.clock.now();
        let grants = keyspace.catalogue.grant(operations).unwrap();
        let name = KeyName::new("service").unwrap();
        let owner = UserId::reserved();
        let record = KeyRecord::minted(&text, id, Arc::new(keyspace), owner, name, grants, now);
        let by = Attribution {
            entry_id: time_ordered_id(&*self.clock, &*self.entropy).unwrap(),
            at: now,
            actor: Actor {
                kind: ActorKind::CommandLine,
                id: "suite".to_owned(),
            },
            ip: None,
            user_agent: None,
            request_id: None,
        };
        let made = self.store.create_key(record, Caller::Operator, by).await;
        assert_eq!(made, Ok(KeyCreated::Done));
        (id.to_string(), text.expose().to_owned())
    }

    /// A bare connection to the server.
    pub(crate) async fn connect(&self) -> Connection {
        Connection::to(self.address).await
    }

    /// Something befalls the database.
    pub(crate) fn database_suffers(&self, fault: Fault) {
        self.store.suffer(fault);
    }

    /// Tells the server to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Stopped {
        self.server.take().expect("it runs").stop().await
    }

    /// The server itself, to be stopped beside something else.
    pub(crate) fn take_server(&mut self) -> Server {
        self.server.take().expect("it runs")
    }

    /// Starts another server on the same database, after [`Self::stop`].
    pub(crate) async fn start_again(&mut self) {
        self.store = Arc::new(FaultyStore::over(self.reopen().await));
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = api.local_addr().unwrap();
        let surroundings = Surroundings {
            store: self.store.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
        };
        self.server = Some(Server::start(api, None, surroundings, usual_settings()).unwrap());
    }

    /// The database, opened again after [`Self::stop`].
    pub(crate) async fn reopen(&self) -> Arc<dyn Store> {
        self.database
            .open(self.clock.clone(), self.entropy.clone())
            .await
    }
}

fn usual_settings() -> Settings {
    Settings {
        jwt: JwtSettings {
            secret: Some(SecretString::from(SECRET)),
            ..JwtSettings::default()
        },
        // Not within a test that does not ask for it: what is read must not depend on when.
        use_flush_interval: Duration::from_hours(1),
        workers: 1,
        ..Settings::default()
    }
}

/// Waits until `check` gives something; ten seconds at most.
pub(crate) async fn eventually<T>(mut check: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within ten seconds");
}
