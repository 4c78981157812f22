//! How the tables of use write a decision's code: a small number, for good.

use keywright_core::decision::Code;

/// The number of a code. One that was ever written is never given another meaning.
pub(crate) const fn of(code: Code) -> i16 {
    match code {
        Code::Valid => 1,
        Code::NotFound => 2,
        Code::Revoked => 3,
        Code::Suspended => 4,
        Code::Expired => 5,
        Code::InsufficientPermissions => 6,
    }
}

/// The code of a number; `None` for one that no version of this program writes.
pub(crate) fn read(number: i16) -> Option<Code> {
    Code::ALL.into_iter().find(|&code| of(code) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_what_they_are() {
        let written = [1, 2, 3, 4, 5, 6].map(|number| read(number).map(Code::as_str));
        let expected = [
            "VALID",
            "NOT_FOUND",
            "REVOKED",
            "SUSPENDED",
            "EXPIRED",
            "INSUFFICIENT_PERMISSIONS",
        ];
        assert_eq!(written, expected.map(Some));
    }

    #[test]
    fn every_code_has_one_and_no_other_number_is_one() {
        for code in Code::ALL {
            assert_eq!(read(of(code)), Some(code));
        }
        for number in [i16::MIN, -1, 0, 7, i16::MAX] {
            assert_eq!(read(number), None);
        }
    }
}
