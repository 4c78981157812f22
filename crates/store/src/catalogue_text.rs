//! How a keyspace's catalogue is stored: a JSON array whose places are the permissions' bit numbers.

use keywright_core::identifier::PermissionName;
use keywright_core::permission::{Catalogue, Permission};
use keywright_core::text::Description;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    name: std::borrow::Cow<'a, str>,
    description: Option<std::borrow::Cow<'a, str>>,
}

/// The catalogue as JSON text.
pub(crate) fn write(catalogue: &Catalogue) -> String {
    let stored: Vec<_> = catalogue
        .permissions()
        .iter()
        .map(|known| Stored {
            name: known.name.as_str().into(),
            description: known.description.as_ref().map(|text| text.as_str().into()),
        })
        .collect();
    // infallible: texts in a list are JSON
    serde_json::to_string(&stored).expect("a list of texts is written as JSON")
}

/// Takes the text back that [`write`] gave.
pub(crate) fn read(text: &str) -> Result<Catalogue, Failure> {
    const COLUMN: &str = "keyspaces.permissions";
    // serde_json's own message may quote what it found.
    let stored: Vec<Stored<'_>> = serde_json::from_str(text)
        .map_err(|_| Failure::Damaged(format!("{COLUMN}: not what was written")))?;
    let permissions = stored
        .into_iter()
        .map(|permission| {
            Ok(Permission {
                name: PermissionName::new(permission.name).map_err(Failure::damaged(COLUMN))?,
                description: permission
                    .description
                    .map(Description::new)
                    .transpose()
                    .map_err(Failure::damaged(COLUMN))?,
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    Catalogue::new(permissions).map_err(Failure::damaged(COLUMN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_in_its_order() {
        let permission = |name: &str, description: Option<&str>| Permission {
            name: PermissionName::new(name).unwrap(),
            description: description.map(|text| Description::new(text).unwrap()),
        };
        let catalogue =
            Catalogue::new([permission("b", Some("\"ü\"\n")), permission("a", None)]).unwrap();
        assert_eq!(read(&write(&catalogue)).unwrap(), catalogue);
    }

    #[test]
    fn damage_is_told_without_its_content() {
        for text in ["", "{}", "[1]", r#"[{"name": "kw secret"}]"#] {
            let Err(Failure::Damaged(told)) = read(text) else {
                panic!("{text} was taken")
            };
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
