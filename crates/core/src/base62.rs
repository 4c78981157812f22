//! Base62 over `0-9A-Za-z`: the alphabet of a key's text.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The largest multiple of 62 a byte can be drawn below without favouring any digit.
const UNBIASED: u8 = 248;

/// The digit that a random byte stands for, or `None` for a byte that must be drawn again.
pub(crate) fn digit_of(random: u8) -> Option<u8> {
    (random < UNBIASED).then(|| ALPHABET[usize::from(random % 62)])
}

/// `value` in exactly `N` digits, most significant first, padded with `0`.
///
/// `N` must hold the value: 6 digits hold 32 bits, 11 digits hold 64.
pub(crate) fn encode<const N: usize>(mut value: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(value % 62) as usize];
        value /= 62;
    }
    debug_assert_eq!(value, 0, "the value has more digits than were asked for");
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_values_fit_their_widths() {
        assert_eq!(&encode::<6>(u64::from(u32::MAX)), b"4gfFC3");
        assert_eq!(&encode::<11>(u64::MAX), b"LygHa16AHYF");
    }

    #[test]
    fn small_values_are_padded_on_the_left() {
        assert_eq!(&encode::<6>(61), b"00000z");
    }

    #[test]
    fn every_digit_is_drawn_by_equally_many_bytes() {
        let mut drawn = [0_u32; 256];
        for digit in (0..=u8::MAX).filter_map(digit_of) {
            drawn[usize::from(digit)] += 1;
        }
        assert!(ALPHABET.iter().all(|&digit| drawn[usize::from(digit)] == 4));
        assert_eq!(drawn.iter().sum::<u32>(), 248);
    }
}
