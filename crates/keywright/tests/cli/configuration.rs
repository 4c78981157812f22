//! Flags, over the environment, over the file, over defaults; and what is refused.

use crate::support::{JWT_SECRET, Machine};

/// Where a server of this machine would listen, as `doctor` sees the configuration.
fn listens(machine: &Machine, arguments: &[&str]) -> String {
    let out = machine.run(&[&["doctor"], arguments].concat()).ok();
    let line = out.lines().next().expect("a line").to_owned();
    let (_, rest) = line
        .split_once("listen on ")
        .unwrap_or_else(|| panic!("{line}"));
    rest.split_once(',').expect("a comma").0.to_owned()
}

fn refused(machine: &Machine, arguments: &[&str]) -> String {
    machine.run(&[&["serve"], arguments].concat()).fails(2)
}

#[test]
fn the_nearer_source_counts() {
    let mut machine = Machine::bare();
    machine.write("k.toml", "listen = '127.0.0.1:1003'\n");
    assert_eq!(listens(&machine, &[]), "127.0.0.1:7878");
    assert_eq!(listens(&machine, &["--config", "k.toml"]), "127.0.0.1:1003");
    machine.set("KEYWRIGHT_CONFIG", "k.toml");
    assert_eq!(listens(&machine, &[]), "127.0.0.1:1003");
    machine.set("KEYWRIGHT_LISTEN", "127.0.0.1:1002");
    assert_eq!(listens(&machine, &[]), "127.0.0.1:1002");
    assert_eq!(
        listens(&machine, &["--listen", "127.0.0.1:1001"]),
        "127.0.0.1:1001"
    );
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let mut machine = Machine::bare();
    for name in [
        "KEYWRIGHT_LISTEN",
        "KEYWRIGHT_DATABASE",
        "KEYWRIGHT_CONFIG",
        "KEYWRIGHT_JWT_SECRET",
    ] {
        machine.set(name, "");
    }
    assert_eq!(listens(&machine, &[]), "127.0.0.1:7878");
}

#[test]
fn an_option_of_the_file_that_does_not_exist_is_refused() {
    let machine = Machine::bare();
    machine.write("k.toml", "listen = '127.0.0.1:0'\ndatabse = 'sqlite:x'\n");
    let said = refused(&machine, &["--config", "k.toml"]);
    assert!(
        said.contains(r#"k.toml: there is no option "databse"; there are admin-group"#),
        "{said}"
    );
    assert!(
        said.contains(" database, ") && said.contains(" jwt-secret, "),
        "{said}"
    );
    // Every command that reads the file says so.
    machine
        .run(&["token", "--user", "u", "--config", "k.toml"])
        .fails(2);
    assert!(
        refused(&machine, &["--config", "nothing.toml"]).contains("nothing.toml: No such file")
    );
}

#[test]
fn clear_text_leaves_the_machine_only_on_purpose() {
    let machine = Machine::bare();
    let said = refused(&machine, &["--listen", "0.0.0.0:0"]);
    assert!(
        said.contains("--behind-proxy") && said.contains("--insecure-http"),
        "{said}"
    );
    refused(&machine, &["--listen", "[::]:0", "--insecure-http=false"]);
    assert_eq!(
        listens(&machine, &["--listen", "0.0.0.0:1", "--insecure-http"]),
        "0.0.0.0:1"
    );
    assert_eq!(
        listens(
            &machine,
            &["--listen", "0.0.0.0:1", "--behind-proxy", "10.0.0.0/8,::1"]
        ),
        "0.0.0.0:1"
    );
    assert_eq!(listens(&machine, &["--listen", "[::1]:1"]), "[::1]:1");
}

#[test]
fn metrics_leave_the_machine_only_on_purpose() {
    let machine = Machine::bare();
    let said = refused(&machine, &["--metrics-listen", "0.0.0.0:0"]);
    assert!(
        said.contains("--metrics-listen")
            && said.contains("--behind-proxy")
            && said.contains("--insecure-http"),
        "{said}"
    );
    for meant in ["--insecure-http", "--behind-proxy=10.0.0.0/8"] {
        listens(&machine, &["--metrics-listen", "0.0.0.0:1", meant]);
    }
    listens(&machine, &["--metrics-listen", "127.0.0.1:1"]);
}

#[test]
fn nodes_on_postgres_must_be_told_which_tokens_are_good() {
    let mut machine = Machine::bare();
    machine.set("KEYWRIGHT_DATABASE", "postgres://u:hunter2@127.0.0.1:1/d");
    let said = refused(&machine, &[]);
    assert!(
        said.contains("KEYWRIGHT_JWT_SECRET") && said.contains("--jwt-jwks-url"),
        "{said}"
    );
    machine.set("KEYWRIGHT_JWT_SECRET", "short hunter2");
    let said = refused(&machine, &[]);
    assert!(
        said.contains("at least 32 bytes and has 13") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn a_database_password_is_nowhere_shown() {
    let mut machine = Machine::bare();
    machine.set("KEYWRIGHT_JWT_SECRET", JWT_SECRET);
    for url in [
        "postgres://u:hunter2@127.0.0.1:1/d",
        "postgres://u@127.0.0.1:1/d?password=hunter2",
        "postgress://u:hunter2@127.0.0.1:1/d",
        "postgres://u:hunter2@127.0.0.1:port/d",
    ] {
        machine.set("KEYWRIGHT_DATABASE", url);
        for command in ["serve", "doctor", "migrate", "admin-key"] {
            let done = machine.run(&[command]);
            assert_ne!(done.code, 0, "{command} {url}");
            assert!(
                !done.err.contains("hunter2") && !done.out.contains("hunter2"),
                "{command}: {}{}",
                done.err,
                done.out
            );
        }
        let help = machine.run(&["serve", "--help"]).ok();
        assert!(!help.contains("hunter2") && !help.contains(JWT_SECRET));
    }
}

#[test]
fn a_secret_is_given_once() {
    let mut machine = Machine::bare();
    machine.write("secret", &format!("{JWT_SECRET}\n"));
    machine.set("KEYWRIGHT_JWT_SECRET", JWT_SECRET);
    let said = refused(&machine, &["--jwt-secret-file", "secret"]);
    assert!(
        said.contains("give one of them") && !said.contains(JWT_SECRET),
        "{said}"
    );
    // The file of the configuration gives way whole.
    machine.write("k.toml", "jwt-secret-file = 'nothing'\n");
    let token = machine
        .run(&["token", "--user", "u", "--config", "k.toml"])
        .ok();
    assert_eq!(token.matches('.').count(), 2);
}

#[test]
fn a_wrong_value_is_told_with_what_would_be_right() {
    let machine = Machine::bare();
    for (arguments, expected) in [
        (["--listen", "here"], "such as 127.0.0.1:7878"),
        (
            ["--database", "mysql://h/d"],
            "sqlite:PATH or postgres://USER@HOST/NAME",
        ),
        (["--log", "keywright=loudly"], "such as info"),
        (["--log-format", "xml"], "text, json"),
        (["--workers", "0"], "--workers"),
        (["--cors-origin", "*"], "https://console.example.com"),
        (["--behind-proxy", "proxy"], "10.0.0.0/8"),
        (["--jwt-jwks-url", "http://id.example/jwks"], "https://"),
        (["--oidc-issuer", "http://id.example"], "https://"),
        (["--oidc-scope", "a b"], "such as profile"),
        (["--public-url", "keys.example"], "https://keys.example.com"),
        (
            ["--public-url", "https://id.example/keys"],
            "at the root of its host",
        ),
    ] {
        let said = refused(&machine, &arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn an_identity_provider_is_named_with_all_that_it_needs() {
    let mut machine = Machine::bare();
    let issuer = ["--oidc-issuer", "https://id.example"];
    let client = ["--oidc-client-id", "keywright"];
    let public = ["--public-url", "https://keys.example"];
    let all = [issuer, client, public].concat();
    assert_eq!(listens(&machine, &all), "127.0.0.1:7878");
    for (given, lacks) in [
        ([issuer, public].concat(), "needs --oidc-client-id"),
        ([issuer, client].concat(), "needs --public-url"),
        ([client, public].concat(), "--oidc-client-id does nothing"),
        (
            ["--admin-group", "operators"].to_vec(),
            "--admin-group does nothing",
        ),
        (
            [&all[..], &["--oidc-client-id="]].concat(),
            "--oidc-client-id",
        ),
    ] {
        let said = refused(&machine, &given);
        assert!(said.contains(lacks), "{given:?}: {said}");
    }
    machine.set("KEYWRIGHT_OIDC_CLIENT_SECRET", "hunter2");
    assert_eq!(listens(&machine, &all), "127.0.0.1:7878");
    let said = refused(&machine, &[]);
    assert!(
        said.contains("KEYWRIGHT_OIDC_CLIENT_SECRET does nothing") && !said.contains("hunter2"),
        "{said}"
    );
}
