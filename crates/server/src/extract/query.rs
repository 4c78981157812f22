//! The query of a URL. Parameters that a route does not know are refused: a misspelt filter that is silently
//! ignored would list what was not asked for.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::state::AppState;

/// The parameters, all of them text; routes read them with [`crate::validate`].
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

pub(crate) fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    serde_urlencoded::from_str(query).map_err(|error| {
        let message = error.to_string();
        let detail = match message.split_once(", ") {
            Some((unknown, known)) if unknown.starts_with("unknown field") => {
                format!("holds a parameter that this route does not take: {known}")
            }
            _ if message.starts_with("duplicate field") => "holds a parameter twice".to_owned(),
            _ => "cannot be read".to_owned(),
        };
        Problem::invalid_field("?", detail)
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Two {
        status: Option<String>,
        limit: Option<String>,
    }

    #[test]
    fn known_parameters_are_read() {
        let two: Two = parse("status=ACTIVE").unwrap();
        assert_eq!((two.status.as_deref(), two.limit), (Some("ACTIVE"), None));
    }

    #[test]
    fn an_unknown_parameter_is_refused_and_the_right_ones_are_named() {
        let problem = format!("{:?}", parse::<Two>("staus=ACTIVE").unwrap_err());
        assert!(
            problem.contains("expected `status` or `limit`"),
            "{problem}"
        );
    }

    #[test]
    fn a_parameter_that_stands_twice_is_refused() {
        let problem = format!("{:?}", parse::<Two>("limit=1&limit=2").unwrap_err());
        assert!(problem.contains("holds a parameter twice"), "{problem}");
    }
}
