//! A table as whoever adds rows to it sees it: its columns, each with what a row has in it. Written once for both
//! databases, which differ in how they take many rows at once.

use std::borrow::Cow;

use uuid::Uuid;

/// A table, and what a row of it is made from.
pub(crate) struct Table<R: 'static> {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column<R>],
    /// What follows the rows in the statement: about those that are there already.
    pub(crate) conflict: &'static str,
}

impl<R> Table<R> {
    /// `INSERT INTO table (columns)`: what comes before the rows.
    pub(crate) fn insert_into(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        format!("INSERT INTO {} ({})", self.name, columns.join(", "))
    }
}

/// A column, and what a row has in it.
pub(crate) struct Column<R> {
    pub(crate) name: &'static str,
    pub(crate) value: Value<R>,
}

/// What a row has in a column of this type; `None` is NULL.
pub(crate) enum Value<R> {
    Uuid(fn(&R) -> Option<Uuid>),
    Bytes(fn(&R) -> Option<&[u8]>),
    Text(fn(&R) -> Option<Cow<'_, str>>),
    Integer(fn(&R) -> Option<i64>),
}

impl<R> Column<R> {
    pub(crate) const fn uuid(name: &'static str, of: fn(&R) -> Option<Uuid>) -> Self {
        let value = Value::Uuid(of);
        Self { name, value }
    }

    pub(crate) const fn bytes(name: &'static str, of: fn(&R) -> Option<&[u8]>) -> Self {
        let value = Value::Bytes(of);
        Self { name, value }
    }

    pub(crate) const fn text(name: &'static str, of: fn(&R) -> Option<Cow<'_, str>>) -> Self {
        let value = Value::Text(of);
        Self { name, value }
    }

    pub(crate) const fn integer(name: &'static str, of: fn(&R) -> Option<i64>) -> Self {
        let value = Value::Integer(of);
        Self { name, value }
    }
}

/// A value that a statement is given.
pub(crate) enum Given<'a> {
    Uuid(Uuid),
    Text(Option<&'a str>),
    Integer(Option<i64>),
}
