//! The OpenAPI document, made from the routes themselves.

use std::collections::BTreeMap;

use keywright_api::{ErrorCode, Problem};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder,
    OpenApi, Ref, RefOr, Response, ResponseBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::app;
use crate::authority::Needs;

const JWT: &str = "user_jwt";
const SERVICE_BEARER: &str = "service_key";
const SERVICE_HEADER: &str = "service_key_header";
const KEY_BEARER: &str = "api_key";
const KEY_HEADER: &str = "api_key_header";

/// What answers say of what they waited for.
const PROPAGATION: [(&str, &str); 2] = [
    (
        "Keywright-Nodes",
        "How many nodes know of the change, the one that answers included.",
    ),
    (
        "Keywright-Propagation-Ms",
        "How long it took until they did, in milliseconds.",
    ),
];

/// The document as `/openapi.json` serves it and `keywright openapi` prints it.
pub fn document() -> OpenApi {
    let (_, mut document, table) = app::parts();
    document.info = InfoBuilder::new()
        .title("Keywright")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("openapi.md")))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ))
        .build();
    document.tags = Some(
        [
            ("API keys", "Make and manage keys."),
            ("Verification", "Ask whether a key is good."),
            ("The key itself", "What the holder of a key can do with it."),
            (
                "Keyspaces",
                "Families of keys with a prefix and a catalogue of permissions.",
            ),
            ("Users", "Who owns keys."),
            ("Audit", "Who did what."),
            ("Cluster", "The nodes that share a database."),
            ("Operations", "Health and metrics."),
        ]
        .map(|(name, description)| {
            TagBuilder::new()
                .name(name)
                .description(Some(description))
                .build()
        })
        .to_vec(),
    );
    let mut components = ComponentsBuilder::from(document.components.take().unwrap_or_default());
    for (name, scheme) in schemes() {
        components = components.security_scheme(name, scheme);
    }
    for (name, description) in PROPAGATION {
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0));
        let header = HeaderBuilder::new()
            .schema(Some(number))
            .description(Some(description));
        components = components.header(name, header.build());
    }
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    document.components = Some(components.schemas_from_iter(schemas).build());
    for (method, path, operation) in app::operations(&mut document.paths) {
        document_errors(operation);
        let mut routes = table.iter();
        if routes.any(|route| route.propagates && (&route.method, &route.path) == (&method, &path))
        {
            document_propagation(operation);
        }
    }
    document
}

fn schemes() -> [(&'static str, SecurityScheme); 5] {
    let bearer = |description: &str| {
        SecurityScheme::Http(
            Http::builder()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(description))
                .build(),
        )
    };
    let header = |description: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "X-API-Key",
            description,
        )))
    };
    let mut jwt = Http::new(HttpAuthScheme::Bearer);
    jwt.bearer_format = Some("JWT".to_owned());
    jwt.description =
        Some("A user's token from the identity provider; the user's id is its `sub`.".to_owned());
    [
        (JWT, SecurityScheme::Http(jwt)),
        (SERVICE_BEARER, bearer("A service key (`kw_…`).")),
        (SERVICE_HEADER, header("A service key (`kw_…`).")),
        (
            KEY_BEARER,
            bearer("Any API key: the request is about this key."),
        ),
        (
            KEY_HEADER,
            header("Any API key: the request is about this key."),
        ),
    ]
}

/// Documents what a route asks of whoever calls it, and how it refuses, from the type of its first argument.
pub(crate) fn document_authority(operation: &mut Operation, needs: Needs) {
    use ErrorCode as E;

    let one = |name: &str| SecurityRequirement::new::<_, [&str; 0], &str>(name, []);
    let (schemes, sentence, refusals) = match needs {
        Needs::Nothing => (vec![], None, vec![]),
        Needs::UserOrService(needed) => (
            vec![JWT, SERVICE_BEARER, SERVICE_HEADER],
            Some(format!(
                "For a user, or for a service key that holds `{}`.",
                needed.name()
            )),
            // The latter for a Keywright-User that nobody can be called.
            vec![E::InsufficientScope, E::ValidationFailed],
        ),
        Needs::Service(needed) => (
            vec![SERVICE_BEARER, SERVICE_HEADER],
            Some(format!("For a service key that holds `{}`.", needed.name())),
            vec![E::InsufficientScope, E::ServiceKeyRequired],
        ),
        Needs::Key => (
            vec![KEY_BEARER, KEY_HEADER],
            Some("For whoever holds a key.".to_owned()),
            vec![],
        ),
    };
    document_codes(operation, &refusals);
    operation.security = Some(schemes.into_iter().map(one).collect());
    let described = [operation.description.take(), sentence]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    operation.description = (!described.is_empty()).then(|| described.join("\n\n"));
}

/// Documents every error that a route can answer with by what it takes; those of its own it names itself.
fn document_errors(operation: &mut Operation) {
    use ErrorCode as E;

    let mut codes = vec![
        E::MalformedRequest,
        E::UriTooLong,
        E::HeadersTooLarge,
        E::Internal,
        E::Unavailable,
    ];
    let guarded = operation
        .security
        .as_ref()
        .is_some_and(|schemes| !schemes.is_empty());
    if guarded {
        codes.extend([
            E::ConflictingCredentials,
            E::MissingCredentials,
            E::InvalidToken,
            E::TooManyFailures,
        ]);
    }
    if operation.request_body.is_some() {
        codes.extend([
            E::MalformedJson,
            E::RequestTimeout,
            E::PayloadTooLarge,
            E::UnsupportedMediaType,
        ]);
    }
    let takes_parameters = operation
        .parameters
        .as_ref()
        .is_some_and(|parameters| !parameters.is_empty());
    if takes_parameters || operation.request_body.is_some() {
        codes.push(E::ValidationFailed);
    }
    document_codes(operation, &codes);
    // Those that a route names itself say their codes; the body is the same everywhere.
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.as_str() >= "400", response) {
            response.content = problem(&[]).content;
        }
    }
}

/// Documents what answers say of what they waited for: a change, and whatever may be so because of one. Who was
/// refused before a change was tried has waited for nothing, and is told nothing.
fn document_propagation(operation: &mut Operation) {
    let rest_on_changes = ["200", "204", "403", "404", "409", "422"];
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (rest_on_changes.contains(&status.as_str()), response) {
            for (name, _) in PROPAGATION {
                let header = Ref::new(format!("#/components/headers/{name}"));
                response.headers.insert(name.to_owned(), RefOr::Ref(header));
            }
        }
    }
}

/// Documents what the route does not document itself: one response a status.
fn document_codes(operation: &mut Operation, codes: &[ErrorCode]) {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in codes {
        by_status
            .entry(code.status())
            .or_default()
            .push(code.as_str());
    }
    for (status, codes) in by_status {
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.to_string())
            .or_insert_with(|| RefOr::T(problem(&codes)));
    }
}

fn problem(codes: &[&str]) -> Response {
    let codes = codes
        .iter()
        .map(|code| format!("`{code}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(codes)
        .content("application/problem+json", content)
        .build()
}
