//! The first service key: made once, handed over whole.

use std::fs;

use crate::support::{Machine, On};

const FILE: &str = "keywright-data/admin-key";

fn works(machine: &mut Machine, key: &str) -> bool {
    machine.set("KEYWRIGHT_SERVICE_KEY", key.trim());
    machine.run(&["users", "list"]).code == 0
}

fn made_once(on: On) {
    let mut machine = Machine::new(on);
    let server = machine.serve(&[]);
    assert_eq!(
        server.announced,
        [format!("first service key written to {FILE}")]
    );
    assert_eq!(
        (machine.mode(FILE), machine.mode("keywright-data")),
        (0o600, 0o700)
    );
    let key = machine.read(FILE);
    assert!(key.starts_with("kw_") && key.ends_with('\n'));
    assert!(server.stop().success());

    // Where one exists, the option does nothing.
    fs::remove_file(machine.path(FILE)).unwrap();
    let server = machine.serve(&["--admin-key-file", "another"]);
    assert_eq!(server.announced, [""; 0]);
    assert!(!machine.path(FILE).exists() && !machine.path("another").exists());
    assert!(works(&mut machine, &key));
}

#[test]
fn it_is_made_once_on_sqlite() {
    made_once(On::Sqlite);
}

#[test]
fn it_is_made_once_on_postgres() {
    made_once(On::Postgres);
}

#[test]
fn of_nodes_that_start_together_one_makes_it() {
    let machine = Machine::new(On::Postgres);
    machine.run(&["migrate"]).ok();
    let machine = &machine;
    let servers: Vec<_> = std::thread::scope(|scope| {
        let start = |number: usize| {
            let file = format!("key-{number}");
            scope.spawn(move || {
                machine
                    .try_serve(&["--admin-key-file", &file])
                    .expect("it starts")
            })
        };
        let starting: Vec<_> = (0..4).map(start).collect();
        starting
            .into_iter()
            .map(|server| server.join().unwrap())
            .collect()
    });
    let announced: usize = servers.iter().map(|server| server.announced.len()).sum();
    let written = (0..4)
        .filter(|number| machine.path(&format!("key-{number}")).exists())
        .count();
    assert_eq!((announced, written), (1, 1));
    let unfinished = fs::read_dir(machine.path(".")).unwrap().flatten();
    let unfinished =
        unfinished.filter(|entry| entry.file_name().to_string_lossy().ends_with(".unfinished"));
    assert_eq!(unfinished.count(), 0);
}

#[test]
fn a_file_that_holds_something_else_is_not_overwritten() {
    let mut machine = Machine::new(On::Sqlite);
    machine.write("notes", "dear diary");
    let said = machine
        .run(&["serve", "--admin-key-file", "notes"])
        .fails(1);
    assert!(
        said.contains("notes is there and holds something else than a service key"),
        "{said}"
    );
    assert_eq!(machine.read("notes"), "dear diary");
    // No key was made that nobody holds.
    let server = machine.serve(&[]);
    assert_eq!(
        server.announced,
        [format!("first service key written to {FILE}")]
    );
}

#[test]
fn the_key_of_an_older_database_gives_way() {
    let mut machine = Machine::new(On::Sqlite);
    machine.serve(&[]).kill();
    let old = machine.read(FILE);
    for name in ["keywright.db", "keywright.db-wal", "keywright.db-shm"] {
        let _ = fs::remove_file(machine.path("keywright-data").join(name));
    }
    let _server = machine.serve(&[]);
    let new = machine.read(FILE);
    assert_ne!(old, new);
    assert!(works(&mut machine, &new) && !works(&mut machine, &old));
}

#[test]
fn what_a_crash_interrupted_is_finished_at_the_next_start() {
    let mut machine = Machine::new(On::Sqlite);
    machine.serve(&[]).kill();
    let key = machine.read(FILE);
    // As a crash between the commit and the renaming leaves it.
    let unfinished = machine.path("keywright-data/admin-key.unfinished");
    fs::rename(machine.path(FILE), &unfinished).unwrap();
    let server = machine.serve(&[]);
    assert_eq!(
        server.announced,
        [format!("first service key written to {FILE}")]
    );
    assert_eq!(machine.read(FILE), key);
    assert!(!unfinished.exists());
    server.kill();

    // As a crash before the commit leaves it: no database knows this key.
    fs::write(&unfinished, "kw_of-no-database\n").unwrap();
    let server = machine.serve(&[]);
    assert_eq!(server.announced, [""; 0]);
    assert_eq!(machine.read(FILE), key);
    assert!(!unfinished.exists());
}

fn another_when_all_are_lost(on: On) {
    let mut machine = Machine::new(on);
    let said = machine
        .run(&["admin-key", "--database", "sqlite:nothing.db"])
        .fails(1);
    assert!(said.contains("there is no database nothing.db"), "{said}");
    machine.serve(&[]).kill();
    let lost = machine.read(FILE);

    let printed = machine.run(&["admin-key"]).ok();
    assert!(printed.starts_with("kw_") && printed.lines().count() == 1);
    machine.run(&["admin-key", "--admin-key-file", FILE]).ok();
    let written = machine.read(FILE);
    assert_eq!(machine.mode(FILE), 0o600);

    let _server = machine.serve(&[]);
    assert!(
        works(&mut machine, &printed)
            && works(&mut machine, &written)
            && works(&mut machine, &lost)
    );
    let audit = machine
        .run(&["audit", "--actor", "admin-key", "--json"])
        .ok();
    assert_eq!(audit.lines().count(), 2);
    assert!(
        audit
            .lines()
            .all(|entry| entry.contains(r#""kind":"command_line""#)),
        "{audit}"
    );
}

#[test]
fn another_is_made_when_all_are_lost_on_sqlite() {
    another_when_all_are_lost(On::Sqlite);
}

#[test]
fn another_is_made_when_all_are_lost_on_postgres() {
    another_when_all_are_lost(On::Postgres);
}
