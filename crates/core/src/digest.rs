//! What is stored of a key's text: its SHA-256.
//!
//! The text holds 190 random bits, so neither salt nor a slow function would add anything: there is no list of
//! likely keys to hash in advance.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::optimization_barrier;

/// SHA-256 of a key's whole text (FIPS 180-4). Compared in constant time; never shown.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `text`, which may be anything that somebody presented as a key.
    pub fn of(text: &str) -> Self {
        let message = text.as_bytes();
        if message.len() > Block::MESSAGE {
            return Self(Sha256::digest(message).into());
        }
        let mut block = Block::empty();
        block.hold(message);
        Self(compressed(&block.0))
    }

    /// Takes a digest back from a database.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, for the column that stores them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The bytes of one block.
const BLOCK: usize = 64;

/// A message that fits into one block with its padding, as every key of a prefix of up to six characters does: no
/// hasher need be made, filled and finished for it. Wiped when it is done with.
struct Block([u8; BLOCK]);

impl Block {
    /// The longest such message: one byte marks its end, and eight hold its length.
    const MESSAGE: usize = BLOCK - 9;

    const fn empty() -> Self {
        Self([0; BLOCK])
    }

    /// Pads `message` (FIPS 180-4 §5.1.1) in place: a block that was moved would leave a copy behind.
    fn hold(&mut self, message: &[u8]) {
        let Self(block) = self;
        block[..message.len()].copy_from_slice(message);
        block[message.len()] = 0x80;
        block[BLOCK - 8..].copy_from_slice(&(8 * message.len() as u64).to_be_bytes());
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.0 = [0; BLOCK];
        // Nobody reads the zeros, and they are to be written all the same.
        optimization_barrier(&self.0);
    }
}

/// SHA-256 of a message that is one padded block.
fn compressed(block: &[u8; BLOCK]) -> [u8; 32] {
    // FIPS 180-4 §5.3.3.
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    compress256(&mut state, std::slice::from_ref(block));
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&u32::to_be_bytes(word));
    }
    bytes
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sha_256() {
        // FIPS 180-4, the example "abc".
        let expected = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
            0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61,
            0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(Digest::of("abc").as_bytes(), &expected);
        assert_eq!(Digest::of("abc"), Digest::from_bytes(expected));
    }

    #[test]
    fn texts_of_every_length_have_the_digest_that_the_library_gives() {
        let text = "a".repeat(200);
        for length in 0..=text.len() {
            let text = &text[..length];
            let expected: [u8; 32] = Sha256::digest(text.as_bytes()).into();
            assert_eq!(Digest::of(text).as_bytes(), &expected, "{length}");
        }
    }

    #[test]
    fn one_bit_makes_another_digest() {
        let mut bytes = *Digest::of("abc").as_bytes();
        bytes[31] ^= 1;
        assert_ne!(Digest::of("abc"), Digest::from_bytes(bytes));
    }

    #[test]
    fn it_is_not_shown_when_debugged() {
        assert_eq!(format!("{:?}", Digest::of("abc")), "Digest(…)");
    }
}
