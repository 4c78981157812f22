//! What a verification found, lent to whoever writes the answer.

use keywright_core::decision::Code;
use keywright_core::keyspace::Keyspace;

use crate::record::CachedKey;

/// A decision, with the key it is about.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// What was decided.
    pub code: Code,
    /// The key; `None` exactly with [`Code::NotFound`].
    pub found: Option<Found<'a>>,
}

/// A key that exists, with its keyspace.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The key.
    pub key: &'a CachedKey,
    /// Its keyspace, whose catalogue gives its grants their names.
    pub keyspace: &'a Keyspace,
}
