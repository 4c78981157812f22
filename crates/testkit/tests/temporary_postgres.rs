//! The cluster that other tests stand on does what it says.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use keywright_testkit::{TemporaryPostgres, VARIABLE, fresh_database};
use rustix::process::{Pid, Signal, kill_process_group};

/// What a statement answers, one row per line; `Err` is what psql said.
fn query(url: &str, statement: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            url,
            "-c",
            statement,
        ])
        .output()
        .expect("psql is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn answers(url: &str, statement: &str) -> String {
    query(url, statement).expect("the statement succeeds")
}

/// Whether the directory goes within ten seconds.
fn goes(directory: &Path) -> bool {
    (0..1_000).any(|_| {
        sleep(Duration::from_millis(10));
        !directory.exists()
    })
}

fn with_postgres(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-postgres"));
    command.args(arguments).env_remove(VARIABLE);
    command
}

fn run(mut command: Command) -> Output {
    command.output().expect("with-postgres starts")
}

#[test]
fn every_database_is_empty_and_its_own() {
    let (first, second) = (fresh_database(), fresh_database());
    answers(first.url(), "CREATE TABLE t (id int)");
    answers(second.url(), "CREATE TABLE t (id int)");
    answers(first.url(), "INSERT INTO t VALUES (1)");
    assert_eq!(answers(second.url(), "SELECT count(*) FROM t"), "0");
}

#[test]
fn a_database_goes_with_its_value_even_while_it_is_in_use() {
    let database = fresh_database();
    let url = database.url().to_owned();
    let mut session = Command::new("psql")
        .args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-d",
            &url,
            "-c",
            "SELECT 'on'",
            "-c",
            "SELECT pg_sleep(60)",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("psql starts");
    let mut line = String::new();
    let stdout = session.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("psql prints");
    assert_eq!(line, "on\n");

    drop(database);

    assert!(
        !session.wait().expect("psql ends").success(),
        "its session was cut"
    );
    let refusal = query(&url, "SELECT 1").expect_err("the database is gone");
    assert!(refusal.contains("does not exist"), "{refusal}");
}

#[test]
fn commits_are_not_flushed_unless_asked_for() {
    let settings = "SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings \
                    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')";
    let quick = TemporaryPostgres::start();
    assert_eq!(answers(&quick.admin_url(), settings), "off off off");
    assert_eq!(answers(&quick.admin_url(), "SHOW max_connections"), "300");

    let durable = TemporaryPostgres::options()
        .durable(true)
        .max_connections(20)
        .start();
    assert_eq!(answers(&durable.admin_url(), settings), "on on on");
    assert_eq!(answers(&durable.admin_url(), "SHOW max_connections"), "20");
}

#[test]
fn what_need_not_last_is_kept_in_memory_and_what_must_is_not() {
    let starts = |durable| {
        let cluster = TemporaryPostgres::options().durable(durable).start();
        cluster.directory().starts_with("/dev/shm")
    };
    let memory = Command::new("stat")
        .args(["-f", "-c", "%T %a %S", "/dev/shm"])
        .output()
        .expect("stat is installed");
    let memory = String::from_utf8_lossy(&memory.stdout).into_owned();
    let fits = match memory.split_whitespace().collect::<Vec<_>>()[..] {
        ["tmpfs", blocks, size] => {
            blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap() >= 1 << 30
        }
        _ => false,
    };
    assert_eq!(
        starts(false),
        fits && std::env::var_os("TMPDIR").is_none(),
        "{memory}"
    );
    assert!(!starts(true));
}

#[test]
fn names_are_compared_as_unicode_and_a_wrong_password_is_refused() {
    let cluster = TemporaryPostgres::start();
    assert_eq!(answers(&cluster.admin_url(), "SELECT lower('ÄÖ')"), "äö");
    let stranger = format!(
        "postgres://postgres:guess@127.0.0.1:{}/postgres",
        cluster.port()
    );
    let refusal = query(&stranger, "SELECT 1").expect_err("the password is wrong");
    assert!(
        refusal.contains("password authentication failed"),
        "{refusal}"
    );
}

#[test]
fn the_data_and_the_address_outlive_every_kind_of_stop() {
    let cluster = TemporaryPostgres::options().durable(true).start();
    let url = cluster.create_database();
    answers(&url, "CREATE TABLE t (id int)");

    let outages: [fn(&TemporaryPostgres); 3] = [
        TemporaryPostgres::stop,
        TemporaryPostgres::abort,
        TemporaryPostgres::kill,
    ];
    for outage in outages {
        answers(&url, "INSERT INTO t VALUES (1)");
        outage(&cluster);
        query(&url, "SELECT 1").expect_err("nobody listens");
        cluster.start_again();
    }
    cluster.restart();

    assert_eq!(answers(&url, "SELECT count(*) FROM t"), "3");
    assert!(cluster.log_file().exists());
}

#[test]
fn a_commit_that_asks_for_it_survives_a_kill_without_durability() {
    let cluster = TemporaryPostgres::start();
    let url = cluster.create_database();
    answers(
        &url,
        "BEGIN; SET LOCAL synchronous_commit = on; CREATE TABLE t AS SELECT 1 AS id; COMMIT",
    );
    cluster.kill();
    cluster.start_again();
    assert_eq!(answers(&url, "SELECT id FROM t"), "1");
}

#[test]
fn a_frozen_server_answers_nothing_until_it_is_resumed() {
    let cluster = TemporaryPostgres::start();
    let url = cluster.admin_url();
    cluster.freeze();
    let refusal = query(&format!("{url}?connect_timeout=2"), "SELECT 1").expect_err("it is frozen");
    assert!(refusal.contains("timeout expired"), "{refusal}");
    cluster.resume();
    assert_eq!(answers(&url, "SELECT 1"), "1");
}

#[test]
fn the_socket_directory_holds_the_servers_socket() {
    let cluster = TemporaryPostgres::start();
    let socket = cluster
        .socket_directory()
        .join(format!(".s.PGSQL.{}", cluster.port()));
    assert!(socket.exists(), "{} is missing", socket.display());
}

#[test]
fn a_cluster_goes_with_its_value_running_or_frozen_or_dead() {
    let states: [fn(&TemporaryPostgres); 3] =
        [|_| (), TemporaryPostgres::freeze, TemporaryPostgres::kill];
    for reach in states {
        let cluster = TemporaryPostgres::start();
        let (directory, url) = (cluster.directory().to_owned(), cluster.admin_url());
        reach(&cluster);
        drop(cluster);
        assert!(
            !directory.exists(),
            "{} is still there",
            directory.display()
        );
        query(&format!("{url}?connect_timeout=2"), "SELECT 1").expect_err("nobody listens");
    }
}

#[test]
fn a_cluster_goes_when_the_process_that_started_it_is_killed() {
    let script = format!(r#"psql -X -A -t -d "${VARIABLE}" -c 'SHOW data_directory'; sleep 600"#);
    let mut command = with_postgres(&["sh", "-c", &script]);
    let mut process = command
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("it starts");
    let mut data = String::new();
    let stdout = process.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut data)
        .expect("psql prints");
    let directory = Path::new(data.trim())
        .parent()
        .expect("it is in the cluster's directory");
    assert!(
        directory.is_dir(),
        "{} is no directory",
        directory.display()
    );

    let group = Pid::from_child(&process);
    kill_process_group(group, Signal::KILL).expect("the group is ours");
    process.wait().expect("it is dead");

    assert!(goes(directory), "{} is still there", directory.display());
}

#[test]
fn with_postgres_exits_as_its_command_did() {
    for (arguments, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "kill -9 $$"], 128 + 9),
        (&["there-is-no-such-program"], 127),
        (&[], 2),
    ] {
        let mut command = with_postgres(arguments);
        // It needs no cluster, and a named one saves starting it.
        command.env(VARIABLE, "postgres://someone@elsewhere/postgres");
        assert_eq!(run(command).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn with_postgres_gives_its_command_a_cluster() {
    let output = run(with_postgres(&[
        "sh",
        "-c",
        &format!(r#"psql -XAtd "${VARIABLE}" -c 'SELECT 6 * 7'"#),
    ]));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n");
}

#[test]
fn with_postgres_uses_the_cluster_that_is_already_named() {
    let mut command = with_postgres(&["sh", "-c", &format!(r#"echo "${VARIABLE}""#)]);
    command.env(VARIABLE, "postgres://someone@elsewhere/postgres");
    let output = run(command);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "postgres://someone@elsewhere/postgres\n"
    );
}
