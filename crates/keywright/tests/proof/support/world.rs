//! A running server on an empty database.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use keywright_testkit::{TemporaryPostgres, fresh_database};
use serde_json::json;
use tempfile::TempDir;

use super::{Database, Launch, Node, Persona, run};

/// What the nodes of a PostgreSQL database sign JWTs with.
pub(crate) const JWT_SECRET: &str = "p1-Vexing-Quartz-9-Judges-Wolf-Bright-Sphinx";

/// A running server on an empty database of its own. Dropping it ends the process and removes its data.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) database: Database,
    launch: Launch,
    folder: TempDir,
    admin: OnceLock<String>,
    tokens: Mutex<HashMap<String, String>>,
}

impl World {
    /// Without any configuration: SQLite in the data folder.
    pub(crate) fn on_sqlite() -> Self {
        Self::on_sqlite_with(Launch::default())
    }

    /// SQLite in the data folder, started as `launch` says.
    pub(crate) fn on_sqlite_with(launch: Launch) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("node/data/keywright.db");
        Self::start(Database::Sqlite(file), launch, folder)
    }

    /// A database in the cluster that tests share.
    pub(crate) fn on_postgres() -> Self {
        Self::on_database(Database::Shared(fresh_database()), Launch::default())
    }

    /// A database in a cluster that the test can stop, or whose log it reads.
    pub(crate) fn on_cluster(cluster: &TemporaryPostgres, launch: Launch) -> Self {
        Self::on_database(Database::Own(cluster.create_database()), launch)
    }

    fn on_database(database: Database, launch: Launch) -> Self {
        let launch = Self::launch_on(&database, launch);
        Self::start(
            database,
            launch,
            TempDir::new().expect("a temporary folder"),
        )
    }

    /// How a node on a PostgreSQL database is started.
    pub(crate) fn launch_on(database: &Database, launch: Launch) -> Launch {
        launch
            .with("KEYWRIGHT_DATABASE", database.url().expect("PostgreSQL"))
            .with("KEYWRIGHT_JWT_SECRET", JWT_SECRET)
    }

    fn start(database: Database, launch: Launch, folder: TempDir) -> Self {
        Self {
            node: Node::start(&folder.path().join("node"), launch.clone()),
            database,
            launch,
            folder,
            admin: OnceLock::new(),
            tokens: Mutex::default(),
        }
    }

    /// The folder of all that belongs to it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One more process on the same database.
    pub(crate) fn another_node(&self) -> Node {
        Node::start(&self.folder.path().join("another"), self.launch.clone())
    }

    /// Stops the server in good order, and starts it again.
    #[track_caller]
    pub(crate) fn restart(&self) {
        let status = self.node.stop();
        assert!(status.success(), "{status}: {}", self.node.log());
        self.node.start_again();
    }

    /// A user, by a JWT that the command line made.
    pub(crate) fn user(&self, id: &str) -> Persona<'_> {
        Persona::bearing(&self.node, &self.token(id))
    }

    /// The JWT of a user.
    pub(crate) fn token(&self, id: &str) -> String {
        let mut tokens = self.tokens.lock().expect("no panic");
        let token = tokens.entry(id.to_owned()).or_insert_with(|| self.sign(id));
        token.clone()
    }

    fn sign(&self, id: &str) -> String {
        let data = self.node.data();
        let data = data.to_str().expect("UTF-8");
        let launch = Launch {
            variables: self.launch.variables.clone(),
            ..Launch::default()
        };
        let (code, token, said) = run(&launch, &["token", "--user", id, "--data-dir", data]);
        assert_eq!(code, Some(0), "{said}");
        token.trim().to_owned()
    }

    /// The service key that the first start made.
    pub(crate) fn admin_key(&self) -> &str {
        self.admin.get_or_init(|| {
            let file = self.node.data().join("admin-key");
            fs::read_to_string(file)
                .expect("the first service key")
                .trim()
                .to_owned()
        })
    }

    /// Who holds the service key that the first start made, and so may do everything.
    pub(crate) fn admin(&self) -> Persona<'_> {
        Persona::bearing(&self.node, self.admin_key())
    }

    /// A service with a service key of its own, that holds these operations.
    #[track_caller]
    pub(crate) fn service(&self, operations: &[&str]) -> Persona<'_> {
        let wanted =
            json!({"name": "a service", "keyspace": "keywright", "permissions": operations});
        Persona::bearing(&self.node, &self.admin().create(&wanted).text)
    }

    /// Who presents a key as the program it was made for does.
    pub(crate) fn holder(&self, text: &str) -> Persona<'_> {
        self.nobody().with("X-API-Key", text)
    }

    /// Somebody without a credential.
    pub(crate) fn nobody(&self) -> Persona<'_> {
        Persona::nobody(&self.node)
    }
}
