//! Word of a change: what is told of it when it is committed, and what a node makes of that.
//!
//! A node that hears of the change after the last one that it applied need not ask for it. Whether it is that is seen from
//! the nonce of the change before. Whoever may connect to the database can listen, and tell as well: so no user is named,
//! and what a node tells of it counts only if it stands in the log.

use keywright_core::digest::Digest;
use keywright_core::identifier::KeyspaceName;

use crate::Scope;
use crate::cluster::{LogMark, LogRow, Told};

/// Where changes are told of.
pub(super) const CHANNEL: &str = "keywright_changes";

/// What is told of a row that has the columns of the change log, and `previous`, the nonce of the one before it: of a user
/// its number alone, so that the log has to be asked.
pub(super) const OF_ROW: &str = "CASE WHEN kind = 'user' THEN CAST(seq AS TEXT) ELSE \
     CONCAT_WS(' ', seq, encode(previous, 'hex'), encode(nonce, 'hex'), kind, \
     COALESCE(encode(key_hash, 'hex'), keyspace)) END";

/// What was told; `None` where it was put into other words.
pub(super) fn told(words: &str) -> Option<Told> {
    let mut words = words.splitn(5, ' ');
    let seq = words.next()?.parse().ok()?;
    let after = sixteen_bytes(words.next()?)?;
    let nonce = sixteen_bytes(words.next()?)?;
    let (kind, about) = (words.next()?, words.next()?);
    let scope = match kind {
        "key" => Scope::Key(digest(about)?),
        "keyspace" => Scope::Keyspace(KeyspaceName::new(about.to_owned()).ok()?),
        _ => return None,
    };
    Some(Told {
        after,
        row: LogRow {
            mark: LogMark { seq, nonce },
            scope,
        },
    })
}

fn digest(digits: &str) -> Option<Digest> {
    let (first, second) = digits.split_at_checked(32)?;
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&sixteen_bytes(first)?);
    bytes[16..].copy_from_slice(&sixteen_bytes(second)?);
    Some(Digest::from_bytes(bytes))
}

fn sixteen_bytes(digits: &str) -> Option<[u8; 16]> {
    let all_are_digits = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = all_are_digits.then(|| u128::from_str_radix(digits, 16).ok())??;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCES: &str = "000102030405060708090a0b0c0d0e0f ffffffffffffffffffffffffffffffff";

    #[test]
    fn other_words_are_not_understood() {
        let hash = "ab".repeat(32);
        let understood = told(&format!("7 {NONCES} key {hash}")).expect("it is understood");
        assert_eq!(understood.after[1], 1);
        assert_eq!(
            understood.row.scope,
            Scope::Key(Digest::from_bytes([0xab; 32]))
        );
        for other in [
            "7".to_owned(),
            String::new(),
            format!("7 {NONCES} key"),
            format!("7 {NONCES} key {hash}0"),
            format!("7 {NONCES} key +{}", &hash[1..]),
            format!("7 {NONCES} key {}é", &hash[..30]),
            format!("7 {NONCES} keyspace {hash}"),
            format!("7 {NONCES} shape default"),
            format!("7 {NONCES} user ada"),
            format!("-7 {NONCES} key {hash}"),
            format!("7 0{NONCES} key {hash}"),
        ] {
            assert_eq!(told(&other), None, "{other}");
        }
    }
}
