//! Addresses of pages, with what is asked of them.

/// The page at `path`, asked for what of these is not empty.
pub(super) fn link(path: &str, asked: &[(&str, &str)]) -> String {
    let given: Vec<_> = asked
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if given.is_empty() {
        return path.to_owned();
    }
    // infallible: pairs of texts are written as a query
    let query = serde_urlencoded::to_string(given).expect("pairs of texts are written as a query");
    format!("{path}?{query}")
}

/// The page of a user. Their id is no part of its path: it may be `.` or `..`, which browsers take for places in the path
/// however they are written.
pub(super) fn to_user(id: &str) -> String {
    link("/user", &[("id", id)])
}
