//! The checksum at the end of a key. By it a scanner knows a key that leaked without asking anybody, and a key that was mistyped is told apart from one
//! that opens nothing any more.

/// How many characters it has.
pub const LENGTH: usize = 6;

/// The digits of base 62, smallest first.
pub const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The CRC-32 (IEEE 802.3) of everything before it, in base 62, the largest digit first. It is no proof of anything: whoever knows the text can make it.
#[must_use]
pub fn of(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_of_the_standard_in_six_digits() {
        // The check value of CRC-32/ISO-HDLC, 0xCBF43926 = 3421780262, and the CRC of nothing.
        assert_eq!(of("123456789"), "3jZRME");
        assert_eq!(of(""), "000000");
    }

    proptest::proptest! {
        /// Any 32 bits that change together change a CRC-32: one letter for another, and two neighbours that changed places.
        #[test]
        fn a_slip_of_the_hand_changes_it(text in "[0-9A-Za-z]{2,80}", at in 0_usize..80, letter in "[0-9A-Za-z]") {
            let at = at % (text.len() - 1);
            let mut typed = text.clone();
            typed.replace_range(at..=at, &letter);
            proptest::prop_assert_eq!(typed == text, of(&typed) == of(&text));
            let mut swapped = text.clone().into_bytes();
            swapped.swap(at, at + 1);
            let swapped = String::from_utf8(swapped).unwrap();
            proptest::prop_assert_eq!(swapped == text, of(&swapped) == of(&text));
        }
    }
}
