//! Permissions as somebody types them: one a line, a name and what it is for.

use keywright_api::keyspace::DescribedPermission;
use keywright_api::{FieldError, NewPermission};

/// Where a permission was typed: the number of its line, from 1, and its name.
type Place<'t> = (usize, &'t str);

fn lines(typed: &str) -> impl Iterator<Item = (Place<'_>, &str)> {
    let lines = typed.lines().map(str::trim).zip(1_usize..);
    lines
        .filter(|(line, _)| !line.is_empty())
        .map(|(line, number)| {
            let (name, description) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            ((number, name), description.trim())
        })
}

/// What the API takes. A line without a description keeps the one that there may be.
pub(super) fn permissions(typed: &str) -> Vec<NewPermission> {
    let permission = |((_, name), description): (Place<'_>, &str)| {
        let given = (!description.is_empty()).then(|| description.to_owned());
        described(name, given.map(Some))
    };
    lines(typed).map(permission).collect()
}

pub(super) fn described(name: &str, description: Option<Option<String>>) -> NewPermission {
    NewPermission::Described(DescribedPermission {
        name: name.to_owned(),
        description,
    })
}

/// What is wrong with the lines.
pub(super) fn refused(errors: &[FieldError], typed: &str) -> Vec<String> {
    let places: Vec<Place<'_>> = lines(typed).map(|(place, _)| place).collect();
    let of_permissions = errors
        .iter()
        .filter(|error| error.pointer.starts_with("/permissions"));
    let told = of_permissions.map(|error| {
        let place = index(&error.pointer).and_then(|index| places.get(index));
        let field = if error.pointer.ends_with("/description") {
            "the description of "
        } else {
            ""
        };
        match place {
            Some((line, name)) => format!("Line {line}: {field}{name} {}", error.detail),
            None => error.detail.clone(),
        }
    });
    told.collect()
}

/// Which permission of a request a pointer of the API's is about.
pub(super) fn index(pointer: &str) -> Option<usize> {
    let rest = pointer.strip_prefix("/permissions/")?;
    rest.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(pointer: &str) -> FieldError {
        FieldError {
            pointer: pointer.to_owned(),
            detail: "is wrong".to_owned(),
        }
    }

    #[test]
    fn a_line_is_a_name_and_what_it_is_for() {
        let typed = "\r\n  read   see  invoices \r\nwrite\n\n\tdelete\tremove them";
        let text = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(
            permissions(typed),
            [
                described("read", text("see  invoices")),
                described("write", None),
                described("delete", text("remove them")),
            ]
        );
        assert_eq!(permissions(" \n"), []);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line() {
        let typed = "\nread it\n\nwrite it";
        let errors = [
            error("/name"),
            error("/permissions/1/name"),
            error("/permissions/0/description"),
            error("/permissions"),
            error("/permissions/7"),
        ];
        assert_eq!(
            refused(&errors, typed),
            [
                "Line 4: write is wrong",
                "Line 2: the description of read is wrong",
                "is wrong",
                "is wrong"
            ]
        );
    }
}
