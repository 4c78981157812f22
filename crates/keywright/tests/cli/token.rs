//! Tokens that the server's own secret signs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{JWT_SECRET, Machine, On};

fn claims(token: &str) -> Value {
    let body = token.trim_end().split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).expect("base64url")).expect("JSON")
}

#[test]
fn it_says_who_for_how_long_and_for_whom() {
    let mut machine = Machine::bare();
    machine.set("KEYWRIGHT_JWT_SECRET", JWT_SECRET);
    let token = machine
        .run(&[
            "token",
            "--user",
            "user-1",
            "--ttl",
            "15m",
            "--jwt-issuer",
            "me",
        ])
        .ok();
    assert_eq!(token.lines().count(), 1);
    let claims = claims(&token);
    assert_eq!(
        (&claims["sub"], &claims["aud"], &claims["iss"]),
        (&json!("user-1"), &json!("authenticated"), &json!("me"))
    );
    let lasts = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lasts, 900);
}

#[test]
fn without_a_secret_it_is_said_where_one_comes_from() {
    let machine = Machine::bare();
    let said = machine.run(&["token", "--user", "u"]).fails(1);
    assert!(
        said.contains("no JWT secret in keywright-data/jwt-secret")
            && said.contains("keywright serve"),
        "{said}"
    );
    assert!(
        !machine.path("keywright-data").exists(),
        "asking makes nothing"
    );
    let url = "https://id.example/jwks";
    let said = machine
        .run(&["token", "--user", "u", "--jwt-jwks-url", url])
        .fails(1);
    assert!(said.contains("identity provider"), "{said}");
}

fn a_server_takes_it(on: On) {
    let mut machine = Machine::new(on);
    machine.set("KEYWRIGHT_JWT_ISSUER", "keywright-tests");
    let server = machine.serve(&[]);
    if on == On::Sqlite {
        assert_eq!(machine.mode("keywright-data/jwt-secret"), 0o600);
    }
    let token = machine.run(&["token", "--user", "user-1"]).ok();
    assert_eq!(status(&server.address, token.trim()), "200");
    let other = machine
        .run(&["token", "--user", "user-1", "--jwt-audience", "others"])
        .ok();
    assert_eq!(status(&server.address, other.trim()), "401");
}

fn status(server: &str, token: &str) -> String {
    let mut stream = std::net::TcpStream::connect(server.strip_prefix("http://").unwrap()).unwrap();
    let request = format!(
        "GET /api/api-keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    answer.split(' ').nth(1).expect("a status").to_owned()
}

#[test]
fn a_server_on_sqlite_takes_it() {
    a_server_takes_it(On::Sqlite);
}

#[test]
fn a_server_on_postgres_takes_it() {
    a_server_takes_it(On::Postgres);
}
