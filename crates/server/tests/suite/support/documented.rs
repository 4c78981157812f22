//! What the OpenAPI document says about a route.

use std::sync::LazyLock;

use serde_json::Value;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::to_value(keywright_server::document()).expect("the document is JSON")
});

/// Every operation of the document: method, path and what is said about it.
pub(crate) fn operations() -> Vec<(String, String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        })
        .collect()
}

/// Asserts that the document knows this answer of this route: its status, and its error code among those named.
///
/// What no route answers (no such path, no such method) is not in the document, nor are the pages that show it.
#[track_caller]
pub(crate) fn assert_documented(method: &str, path: &str, status: u16, code: Option<&str>) {
    let path = path.split('?').next().unwrap();
    let Some(operation) = find(method, path) else {
        return;
    };
    let response = &operation["responses"][status.to_string()];
    assert!(
        response.is_object(),
        "the document knows no {status} ({code:?}) for {method} {path}"
    );
    if let Some(code) = code {
        let described = response["description"].as_str().unwrap();
        assert!(
            described.contains(&format!("`{code}`")),
            "the document knows no {code} for {method} {path}, only: {described}"
        );
    }
}

/// Asserts that an answer says what it waited for where the document says so, and nowhere else.
#[track_caller]
pub(crate) fn assert_propagation_documented(method: &str, path: &str, status: u16, is_told: bool) {
    let path = path.split('?').next().unwrap();
    let operation = find(method, path).unwrap_or(&Value::Null);
    let headers = &operation["responses"][status.to_string()]["headers"];
    let is_documented =
        headers["Keywright-Nodes"].is_object() && headers["Keywright-Propagation-Ms"].is_object();
    // A refusal says so only where it came of what is kept.
    let fits = if status < 400 {
        is_told == is_documented
    } else {
        is_documented || !is_told
    };
    assert!(
        fits,
        "{method} {path}: {status}, told: {is_told}, documented: {is_documented}"
    );
}

fn find(method: &str, path: &str) -> Option<&'static Value> {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut known = operations();
    // Literal segments before parameters, as the router does.
    known.sort_by_key(|(_, template, _)| template.matches('{').count());
    known
        .into_iter()
        .find(|(known, template, _)| known == method && fits(template, path))
        .map(|(_, _, operation)| operation)
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(known, given)| known == given || (known.starts_with('{') && !given.is_empty()))
}
