//! What every route asks of whoever calls it, and that the document says so.

use keywright_server::{Needs, RouteEntry, route_table};
use reqwest::Method;

use crate::support::{
    ALL_OPERATIONS, Answer, Client, Kind, Token, World, on_both_stores, operations,
};

on_both_stores![
    a_route_without_a_credential_answers_401_without_an_error,
    a_route_with_a_bad_credential_answers_401_invalid_token,
    a_service_key_with_every_other_operation_is_told_which_one_it_lacks,
    a_service_key_with_the_one_operation_is_let_in,
    a_jwt_is_refused_where_only_service_keys_may,
    a_bad_jwt_is_told_so_before_it_is_told_that_it_is_the_wrong_kind,
    what_is_not_in_the_document_is_for_everybody,
    a_jwt_with_another_users_name_is_a_conflict_everywhere,
    a_credential_of_another_scheme_is_none_of_ours,
];

/// A request that gets as far as the authority of the route, if it gets in nowhere else.
async fn call(client: &Client, route: &RouteEntry) -> Answer {
    let path = route
        .path
        .replace("{key_id}", "00000000-0000-7000-8000-000000000000")
        .replace("{name}", "default")
        .replace("{id}", "nobody");
    let body = matches!(route.method, Method::POST | Method::PATCH | Method::PUT);
    let body = body.then(|| b"{}".to_vec());
    client.send(route.method.clone(), &path, body).await
}

fn guarded() -> impl Iterator<Item = RouteEntry> {
    route_table()
        .into_iter()
        .filter(|route| route.needs != Needs::Nothing)
}

/// The routes that a service key may use, with the operation it needs.
fn for_service_keys() -> impl Iterator<Item = (RouteEntry, &'static str)> {
    route_table()
        .into_iter()
        .filter_map(|route| match route.needs {
            Needs::UserOrService(operation) | Needs::Service(operation) => {
                Some((route, operation.name()))
            }
            Needs::Nothing | Needs::Key => None,
        })
}

#[test]
fn every_route_is_documented_and_every_documented_route_is_there() {
    let mut routes: Vec<_> = route_table()
        .into_iter()
        .map(|route| (route.method.to_string(), route.path))
        .collect();
    let mut documented: Vec<_> = operations()
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    routes.sort();
    documented.sort();
    assert_eq!(routes, documented);
}

#[test]
fn the_routes_are_those_of_the_contract() {
    let mut routes: Vec<_> = route_table()
        .into_iter()
        .map(
            |RouteEntry {
                 method,
                 path,
                 needs,
                 ..
             }| {
                let needs = match needs {
                    Needs::Nothing => "-".to_owned(),
                    Needs::Key => "key".to_owned(),
                    Needs::UserOrService(operation) => format!("user or {}", operation.name()),
                    Needs::Service(operation) => operation.name().to_owned(),
                };
                format!("{method} {path}: {needs}")
            },
        )
        .collect();
    routes.sort();
    assert_eq!(
        routes,
        [
            "DELETE /api/api-keys/{key_id}: user or keys:write",
            "DELETE /api/users/{id}: users:write",
            "DELETE /api/whoami: key",
            "GET /api/api-keys/{key_id}/usage: user or keys:read",
            "GET /api/api-keys/{key_id}: user or keys:read",
            "GET /api/api-keys: user or keys:read",
            "GET /api/audit: audit:read",
            "GET /api/cluster: cluster:read",
            "GET /api/keyspaces/{name}: user or keyspaces:read",
            "GET /api/keyspaces: user or keyspaces:read",
            "GET /api/usage: audit:read",
            "GET /api/users/{id}/api-keys: users:read",
            "GET /api/users/{id}: users:read",
            "GET /api/users: users:read",
            "GET /api/whoami: key",
            "GET /health/live: -",
            "GET /health/ready: -",
            "PATCH /api/api-keys/{key_id}: user or keys:write",
            "PATCH /api/keyspaces/{name}: keyspaces:write",
            "POST /api/api-keys/{key_id}/reactivate: user or keys:write",
            "POST /api/api-keys/{key_id}/suspend: user or keys:write",
            "POST /api/api-keys: user or keys:write",
            "POST /api/keyspaces: keyspaces:write",
            "POST /api/verify/batch: keys:verify",
            "POST /api/verify: keys:verify",
            "PUT /api/api-keys/{key_id}/permissions: user or keys:write",
        ]
    );
}

#[test]
fn the_answers_of_these_routes_say_what_they_waited_for() {
    let mut routes: Vec<_> = operations()
        .into_iter()
        .filter(|(_, _, operation)| {
            let responses = operation["responses"].as_object().unwrap();
            responses
                .values()
                .any(|response| response["headers"]["Keywright-Nodes"].is_object())
        })
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    routes.sort();
    assert_eq!(
        routes,
        [
            "DELETE /api/api-keys/{key_id}",
            "DELETE /api/users/{id}",
            "DELETE /api/whoami",
            "PATCH /api/api-keys/{key_id}",
            "PATCH /api/keyspaces/{name}",
            "POST /api/api-keys/{key_id}/reactivate",
            "POST /api/api-keys/{key_id}/suspend",
            "POST /api/keyspaces",
            "PUT /api/api-keys/{key_id}/permissions",
        ]
    );
}

#[test]
fn the_committed_document_is_that_of_the_routes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap();
    let document = keywright_server::document().to_pretty_json().unwrap();
    assert!(
        committed.trim_end() == document,
        "docs/openapi.json is not what the code says: run scripts/generate"
    );
}

#[test]
fn every_operation_says_what_it_does_and_has_an_id_of_its_own() {
    let mut ids = Vec::new();
    for (method, path, operation) in operations() {
        assert!(operation["summary"].is_string(), "{method} {path}");
        ids.push(operation["operationId"].as_str().unwrap());
    }
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

async fn a_route_without_a_credential_answers_401_without_an_error(store: Kind) {
    let world = World::on(store).await;
    for route in guarded() {
        let answer = call(&world.anonymous(), &route).await;
        answer.refused(401, "missing_credentials");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer"),
            "{route:?}"
        );
    }
}

async fn a_route_with_a_bad_credential_answers_401_invalid_token(store: Kind) {
    let world = World::on(store).await;
    let anonymous = world.anonymous();
    let bad = [
        anonymous.bearer("kw_nonsense"),
        anonymous.bearer("a.b.c"),
        anonymous.bearer(""),
        anonymous.with("x-api-key", ""),
    ];
    for (number, route) in guarded().enumerate() {
        let answer = call(&bad[number % bad.len()], &route).await;
        answer.refused(401, "invalid_token");
        let challenge = answer.header("www-authenticate");
        assert_eq!(
            challenge,
            Some("Bearer error=\"invalid_token\""),
            "{route:?}"
        );
    }
}

async fn a_service_key_with_every_other_operation_is_told_which_one_it_lacks(store: Kind) {
    let world = World::on(store).await;
    for (route, needed) in for_service_keys() {
        let others = ALL_OPERATIONS.into_iter().filter(|name| *name != needed);
        let client = world.service(&others.collect::<Vec<_>>()).await;
        let answer = call(&client, &route).await;
        let problem = answer.refused(403, "insufficient_scope");
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(&*challenge),
            "{route:?}"
        );
        let detail = format!("the service key lacks {needed}: use one that holds it");
        assert_eq!(problem["detail"], detail, "{route:?}");
    }
}

async fn a_service_key_with_the_one_operation_is_let_in(store: Kind) {
    let world = World::on(store).await;
    for (route, needed) in for_service_keys() {
        let client = world.service(&[needed]).await;
        let answer = call(&client.acting_for("ada"), &route).await;
        assert!(!matches!(answer.status, 401 | 403), "{route:?}: {answer:?}");
    }
}

async fn a_jwt_is_refused_where_only_service_keys_may(store: Kind) {
    let world = World::on(store).await;
    for route in route_table() {
        if let Needs::Service(_) = route.needs {
            let answer = call(&world.user("ada"), &route).await;
            answer.refused(403, "service_key_required");
        }
    }
}

async fn a_bad_jwt_is_told_so_before_it_is_told_that_it_is_the_wrong_kind(store: Kind) {
    let world = World::on(store).await;
    let expired = Token::of("ada").claim("exp", 1).signed();
    let answer = world.anonymous().bearer(&expired).get("/api/users").await;
    let problem = answer.refused(401, "invalid_token");
    assert_eq!(problem["detail"], "the JWT is not good: it is expired");
}

async fn what_is_not_in_the_document_is_for_everybody(store: Kind) {
    let world = World::on(store).await;
    let anonymous = world.anonymous();
    for path in [
        "/openapi.json",
        "/docs/",
        "/docs/swagger-ui.css",
        "/metrics",
    ] {
        assert_eq!(anonymous.get(path).await.status, 200, "{path}");
    }
    let moved = anonymous.get("/docs").await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (308, Some("/docs/"))
    );
    for path in [
        "/api",
        "/api/",
        "/docs/nothing",
        "/openapi.yaml",
        "/metrics/",
        "/api/cluster/",
        "/api/users/",
    ] {
        anonymous.get(path).await.refused(404, "not_found");
    }
}

async fn a_jwt_with_another_users_name_is_a_conflict_everywhere(store: Kind) {
    let world = World::on(store).await;
    let client = world.user("ada").acting_for("eve");
    for route in guarded() {
        let answer = call(&client, &route).await;
        let problem = answer.refused(400, "conflicting_credentials");
        let detail = "a JWT acts for its own user: leave out Keywright-User";
        assert_eq!(problem["detail"], detail, "{route:?}");
    }
}

async fn a_credential_of_another_scheme_is_none_of_ours(store: Kind) {
    let world = World::on(store).await;
    let client = world.anonymous().with("authorization", "Basic YTpi");
    for route in guarded() {
        let answer = call(&client, &route).await;
        answer.refused(401, "missing_credentials");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer"),
            "{route:?}"
        );
    }
}
