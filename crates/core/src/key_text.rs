//! The text of a key: `<prefix><body><check>` (CONTRACT §2).
//!
//! - prefix: the keyspace's.
//! - body: 43 characters of base62. The first 32, the secret, come from the operating system's generator; the last
//!   11 are a keyed tag over prefix and secret, by which a server refuses made-up keys without asking a database.
//! - check: CRC-32 (IEEE 802.3) of the body in base62, GitHub's construction, by which a secret scanner tells a
//!   real key from a look-alike without asking anybody.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use crate::ambient::{Entropy, EntropyError};
use crate::base62;
use crate::digest::Digest;
use crate::identifier::KeyPrefix;

/// Characters of the secret: 62³² is a little more than 2¹⁹⁰.
pub const SECRET_CHARS: usize = 32;
/// Characters of the tag: 62¹¹ holds 64 bits.
pub const TAG_CHARS: usize = 11;
/// Characters of the check: 62⁶ holds 32 bits.
pub const CHECK_CHARS: usize = 6;
/// Characters of the body, the origin's `token_urlsafe(32)` in length.
pub const BODY_CHARS: usize = SECRET_CHARS + TAG_CHARS;

/// How many characters at each end are kept for people to recognise a key by.
const SHOWN_CHARS: usize = 8;

/// The text of a key that has just been made. It cannot be printed, compared or serialized, and is wiped from
/// memory when dropped.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// Makes a new key of the keyspace that has `prefix`, tagged with `tag_key`.
    ///
    /// # Errors
    /// [`EntropyError`] where the generator gives no bytes.
    pub fn mint(
        prefix: &KeyPrefix,
        tag_key: &TagKey,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        let prefix = prefix.as_str();
        // Reserved whole, so that no reallocation leaves a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(
            prefix.len() + BODY_CHARS + CHECK_CHARS,
        ));
        text.push_str(prefix);
        push_secret(&mut text, entropy)?;
        let tag = tag_key.tag(&text);
        text.extend(tag.iter().map(|&digit| char::from(digit)));
        let check = check_of(&text.as_bytes()[prefix.len()..]);
        text.extend(check.iter().map(|&digit| char::from(digit)));
        Ok(Self(text))
    }

    /// The text itself. It may go to the one who asked for the key, once, and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored instead of the text.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The first 8 characters, for people to recognise the key by. Not unique, and never used to find a key.
    pub fn shown_prefix(&self) -> &str {
        &self.0[..SHOWN_CHARS]
    }

    /// The last 8 characters, for people to recognise the key by.
    pub fn shown_postfix(&self) -> &str {
        &self.0[self.0.len() - SHOWN_CHARS..]
    }
}

/// Appends 32 characters, each of the 62 equally likely.
fn push_secret(text: &mut String, entropy: &dyn Entropy) -> Result<(), EntropyError> {
    let mut random = Zeroizing::new([0_u8; 64]);
    let mut wanted = SECRET_CHARS;
    while wanted > 0 {
        entropy.fill(random.as_mut_slice())?;
        for digit in random
            .iter()
            .filter_map(|&byte| base62::digit_of(byte))
            .take(wanted)
        {
            text.push(char::from(digit));
            wanted -= 1;
        }
    }
    Ok(())
}

/// The check of a body.
fn check_of(body: &[u8]) -> [u8; CHECK_CHARS] {
    base62::encode(u64::from(crc32fast::hash(body)))
}

/// A text that has the form of a key and whose check is right. It may still be made up: see
/// [`TagKeys::made`].
#[derive(Clone, Copy)]
pub struct WellFormed<'a> {
    /// Prefix and secret, over which the tag goes.
    tagged: &'a str,
    prefix_len: usize,
    tag: &'a str,
}

impl<'a> WellFormed<'a> {
    /// Looks at what somebody presented as a key: `None` unless it is a well-formed prefix, 43 characters of
    /// base62 and their check.
    pub fn parse(text: &'a str) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let (rest, check) = text.split_at_checked(text.len().checked_sub(CHECK_CHARS)?)?;
        let prefix_len = rest.len().checked_sub(BODY_CHARS)?;
        let (prefix, body) = rest.split_at_checked(prefix_len)?;
        if !KeyPrefix::is_well_formed(prefix)
            || !body.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return None;
        }
        if check_of(body.as_bytes()) != check.as_bytes() {
            return None;
        }
        let (tagged, tag) = rest.split_at_checked(prefix_len + SECRET_CHARS)?;
        Some(Self {
            tagged,
            prefix_len,
            tag,
        })
    }

    /// The prefix, which tells the keyspace.
    pub fn prefix(&self) -> &'a str {
        &self.tagged[..self.prefix_len]
    }
}

/// Whether a key stands anywhere in a text, whatever is around it: pasted where it does not belong, it must not be
/// echoed or kept. Its prefix need not be
/// there: the check of its body tells it from anything else.
pub fn is_within(text: &str) -> bool {
    let runs = text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric());
    runs.flat_map(|run| run.windows(BODY_CHARS + CHECK_CHARS))
        .any(|window| {
            let (body, check) = window.split_at(BODY_CHARS);
            check_of(body) == check
        })
}

/// The key of a keyspace's tags: 32 random bytes. It protects nothing secret; it only lets the server refuse
/// made-up keys cheaply. Wiped from memory when dropped, all the same.
#[derive(Clone, Zeroize, zeroize::ZeroizeOnDrop)]
pub struct TagKey([u8; TagKey::BYTES]);

impl TagKey {
    /// The size of a tag key.
    pub const BYTES: usize = 32;

    /// Makes a new one.
    ///
    /// # Errors
    /// [`EntropyError`] where the generator gives no bytes.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut key = Self([0; Self::BYTES]);
        entropy.fill(&mut key.0)?;
        Ok(key)
    }

    /// The first 8 bytes of HMAC-SHA-256 (RFC 2104), as a big-endian number in base62.
    fn tag(&self, tagged: &str) -> [u8; TAG_CHARS] {
        // infallible: HMAC takes a key of any length
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0)
            .expect("HMAC takes a key of any length");
        mac.update(tagged.as_bytes());
        let code = mac.finalize().into_bytes();
        let mut first = [0; 8];
        first.copy_from_slice(&code[..8]);
        base62::encode(u64::from_be_bytes(first))
    }
}

/// The tag keys of one keyspace, oldest first: version *n* is the *n*-th. New keys are tagged with the newest, and
/// a tag by any of them is good.
#[derive(Clone)]
pub struct TagKeys(Vec<TagKey>);

/// Stored tag keys are not a whole number, at least one, of 32-byte keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored tag keys of a keyspace are damaged")]
pub struct DamagedTagKeys;

impl TagKeys {
    /// A list of one.
    pub fn new(first: TagKey) -> Self {
        Self(vec![first])
    }

    /// The newest, with which new keys are tagged.
    pub fn newest(&self) -> &TagKey {
        // infallible: both constructors see to it that there is one
        self.0.last().expect("a keyspace has a tag key")
    }

    /// Whether one of these keys made the tag: whether this server made the text.
    pub fn made(&self, text: &WellFormed<'_>) -> bool {
        self.0
            .iter()
            .map(|key| key.tag(text.tagged).ct_eq(text.tag.as_bytes()))
            .fold(Choice::from(0), |any, one| any | one)
            .into()
    }

    /// All of them one after the other, for the column that stores them.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.0.len() * TagKey::BYTES));
        for key in &self.0 {
            bytes.extend_from_slice(&key.0);
        }
        bytes
    }

    /// Takes them back from a database.
    ///
    /// # Errors
    /// [`DamagedTagKeys`] where the bytes are not one or more whole keys.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DamagedTagKeys> {
        let (keys, rest) = bytes.as_chunks::<{ TagKey::BYTES }>();
        if keys.is_empty() || !rest.is_empty() {
            return Err(DamagedTagKeys);
        }
        Ok(Self(keys.iter().copied().map(TagKey).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// A generator whose every draw differs (`SplitMix64`).
    struct Counting(AtomicU64);

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
            for chunk in buffer.chunks_mut(8) {
                let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
            }
            Ok(())
        }
    }

    struct Broken;

    impl Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    fn prefix(text: &str) -> KeyPrefix {
        KeyPrefix::new(text).unwrap()
    }

    fn minted(seed: u64) -> (KeyText, TagKeys) {
        let entropy = Counting(AtomicU64::new(seed));
        let keys = TagKeys::new(TagKey::generate(&entropy).unwrap());
        (
            KeyText::mint(&prefix("agpt_"), keys.newest(), &entropy).unwrap(),
            keys,
        )
    }

    #[test]
    fn the_check_is_githubs() {
        // The vector of CONTRACT §2.
        assert_eq!(&check_of(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"), b"0mLq17");
    }

    #[test]
    fn the_tag_is_the_start_of_an_hmac() {
        // HMAC-SHA-256 with 32 times 0x0b over "Hi There" begins with 198a607eb44bfbc6 (computed with OpenSSL).
        let tag = TagKey([0x0b; 32]).tag("Hi There");
        assert_eq!(tag, base62::encode::<TAG_CHARS>(0x198a_607e_b44b_fbc6));
    }

    #[test]
    fn a_default_key_has_54_characters() {
        let (text, _) = minted(1);
        assert_eq!(text.expose().len(), 54);
        assert!(text.expose().starts_with("agpt_"));
        assert_eq!(text.shown_prefix(), &text.expose()[..8]);
        assert_eq!(text.shown_postfix(), &text.expose()[46..]);
    }

    #[test]
    fn a_key_is_found_wherever_it_stands() {
        let (text, _) = minted(1);
        let key = text.expose();
        for around in [
            key.to_owned(),
            format!("job_{key}"),
            format!("ä {key}{key}"),
            format!("curl/8 ({key}) x"),
            key[5..].to_owned(),
            format!("x{}x", &key[5..]),
        ] {
            assert!(is_within(&around), "{around}");
        }
        for none in [
            "",
            "_",
            "agpt_",
            "curl/8.1.0 (x86_64)",
            &key[..53],
            &key[6..],
        ] {
            assert!(!is_within(none), "{none}");
        }
    }

    #[test]
    fn nothing_is_minted_without_entropy() {
        let (_, keys) = minted(1);
        assert!(KeyText::mint(&prefix("agpt_"), keys.newest(), &Broken).is_err());
        assert!(TagKey::generate(&Broken).is_err());
    }

    #[test]
    fn a_tag_by_an_older_key_of_the_list_is_still_good() {
        let (text, keys) = minted(1);
        let mut bytes = keys.to_bytes().to_vec();
        bytes.extend_from_slice(&[7; 32]);
        let rotated = TagKeys::from_bytes(&bytes).unwrap();
        assert!(rotated.made(&WellFormed::parse(text.expose()).unwrap()));
        assert!(
            !TagKeys::from_bytes(&[7; 32])
                .unwrap()
                .made(&WellFormed::parse(text.expose()).unwrap())
        );
    }

    #[test]
    fn damaged_tag_keys_are_noticed() {
        assert!(TagKeys::from_bytes(&[]).is_err());
        assert!(TagKeys::from_bytes(&[0; 33]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_minted_parses_and_was_made_here(seed: u64) {
            let (text, keys) = minted(seed);
            let parsed = WellFormed::parse(text.expose()).unwrap();
            prop_assert_eq!(parsed.prefix(), "agpt_");
            prop_assert!(keys.made(&parsed));
        }

        #[test]
        fn one_changed_character_is_noticed_without_a_database(seed: u64, at in 0_usize..54, to in "[0-9A-Za-z_]") {
            let (text, keys) = minted(seed);
            let mut changed = text.expose().to_owned();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != text.expose());
            let noticed = WellFormed::parse(&changed).is_none_or(|parsed| !keys.made(&parsed));
            prop_assert!(noticed);
        }

        #[test]
        fn anything_at_all_can_be_parsed(text in ".{0,80}") {
            if let Some(parsed) = WellFormed::parse(&text) {
                prop_assert!(KeyPrefix::new(parsed.prefix()).is_ok());
            }
        }

        #[test]
        fn other_prefixes_make_other_lengths(middle in "[a-z0-9_]{0,14}", seed: u64) {
            let entropy = Counting(AtomicU64::new(seed));
            let prefix = prefix(&format!("k{middle}_"));
            let key = TagKey::generate(&entropy).unwrap();
            let text = KeyText::mint(&prefix, &key, &entropy).unwrap();
            prop_assert_eq!(WellFormed::parse(text.expose()).unwrap().prefix(), prefix.as_str());
        }
    }
}
