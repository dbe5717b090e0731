//! A key as text: `cl_live_<public part>_<secret><checksum>` of a person, `cl_rt_…` of a runtime. Keys made before there were checksums have none.

use crate::{
    Error, Result,
    runtime::{checksum, token},
};
use secrecy::SecretString;

/// What every key of a person begins with.
pub const LIVE: &str = "cl_live_";
/// How long the public part of a person's key is: hexadecimal digits.
const LIVE_PUBLIC: usize = 12;
/// How long the secret part is, without the checksum: 43 digits of base 62 are 256 bits.
const LIVE_SECRET: usize = 43;

/// Whose key a text claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person's own.
    Person,
    /// A runtime's.
    Runtime,
}

impl Kind {
    /// What keys of this kind begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Person => LIVE,
            Self::Runtime => token::PREFIX,
        }
    }

    const fn lengths(self) -> (usize, usize) {
        match self {
            Self::Person => (LIVE_PUBLIC, LIVE_SECRET),
            Self::Runtime => (token::PUBLIC_LENGTH, token::SECRET_LENGTH),
        }
    }

    /// What is shown of a key: enough to recognise it, nothing that proves it.
    #[must_use]
    pub fn hint(self, public_id: &str) -> String {
        format!("{}{public_id}…", self.prefix())
    }
}

/// A key as it was sent: not proven yet.
#[derive(PartialEq, Eq)]
pub struct Sent<'a> {
    /// Whose it claims to be.
    pub kind: Kind,
    /// The part that may be known.
    pub public_id: &'a str,
    /// The part that proves it, without the checksum.
    pub secret: &'a str,
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// It is nothing of ours.
    Foreign,
    /// It begins as one of ours, and is too short, too long, or its checksum does not match.
    Mistyped,
}

/// Takes a key apart.
///
/// # Errors
/// Why it cannot be one.
pub fn parse(text: &str) -> Result<Sent<'_>, NoKey> {
    let kind = [Kind::Person, Kind::Runtime].into_iter().find(|kind| text.starts_with(kind.prefix())).ok_or(NoKey::Foreign)?;
    let rest = &text[kind.prefix().len()..];
    let (public_length, secret_length) = kind.lengths();
    let (public_id, tail) = rest.split_once('_').ok_or(NoKey::Mistyped)?;
    // The secrets of keys without a checksum have these two as well.
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if public_id.len() != public_length || !plain(public_id) || !plain(tail) {
        return Err(NoKey::Mistyped);
    }
    if tail.len() == secret_length {
        return Ok(Sent { kind, public_id, secret: tail });
    }
    if tail.len() != secret_length + checksum::LENGTH {
        return Err(NoKey::Mistyped);
    }
    let (before, sum) = text.split_at(text.len() - checksum::LENGTH);
    if checksum::of(before) != sum {
        return Err(NoKey::Mistyped);
    }
    Ok(Sent { kind, public_id, secret: &tail[..secret_length] })
}

/// A new key of a person.
pub struct Fresh {
    /// The part that may be known.
    pub public_id: String,
    /// The part that proves it.
    pub secret: SecretString,
    /// The whole key, to be shown once.
    pub whole: SecretString,
}

impl Fresh {
    /// Draws one of 256 random bits.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn draw() -> Result<Self> {
        let public_id = token::hex(&random::<{ LIVE_PUBLIC / 2 }>()?);
        let secret = digits(LIVE_SECRET)?;
        let mut whole = format!("{LIVE}{public_id}_{secret}");
        whole.push_str(&checksum::of(&whole));
        Ok(Self { public_id, secret: secret.into(), whole: whole.into() })
    }
}

/// Random digits of base 62, each as likely as the others: letters and digits alone, which a double press selects whole.
fn digits(length: usize) -> Result<String> {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // What does not divide evenly is thrown away.
        let fair = random::<64>()?.into_iter().filter(|byte| *byte < 248);
        text.extend(fair.map(|byte| char::from(checksum::DIGITS[usize::from(byte % 62)])).take(length - text.len()));
    }
    Ok(text)
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal("taking random bytes for a key", error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::RuntimeId;
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    fn fresh() -> String {
        Fresh::draw().unwrap().whole.expose_secret().to_owned()
    }

    fn of_runtime() -> String {
        token::derive(&[7; 32], RuntimeId(uuid::Uuid::from_u128(9)), 3, 1).whole.expose_secret().to_owned()
    }

    #[test]
    fn a_fresh_key_is_taken_apart_into_what_it_was_made_of() {
        let key = Fresh::draw().unwrap();
        let whole = key.whole.expose_secret();
        let sent = parse(whole).unwrap_or_else(|no| panic!("{no:?}"));
        assert!(sent.kind == Kind::Person && sent.public_id == key.public_id && sent.secret == key.secret.expose_secret());
        // The form that a scanner looks for.
        let (public_id, tail) = whole.strip_prefix("cl_live_").unwrap().split_once('_').unwrap();
        assert!(public_id.len() == 12 && public_id.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase()));
        assert!(tail.len() == 49 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(fresh(), fresh());
        assert!(parse(&of_runtime()).is_ok_and(|sent| sent.kind == Kind::Runtime));
    }

    #[test]
    fn keys_from_before_have_no_checksum_and_are_still_keys() {
        let old = format!("cl_live_0123456789ab_{}", "a-B_0".repeat(9).get(..43).unwrap());
        let sent = parse(&old).unwrap_or_else(|no| panic!("{no:?}"));
        assert!(sent.kind == Kind::Person && sent.public_id == "0123456789ab" && sent.secret.len() == 43);
        let old = format!("cl_rt_{}_{}", "0".repeat(20), "f".repeat(64));
        assert!(parse(&old).is_ok_and(|sent| sent.kind == Kind::Runtime && sent.secret.len() == 64));
    }

    #[test]
    fn what_is_no_key_says_whether_it_wanted_to_be_one() {
        for text in ["", "sk-123", "Cl_live_0123456789ab_x", "cl_xx_0123456789ab_abcdefgh", " cl_live_"] {
            assert!(parse(text).err() == Some(NoKey::Foreign), "{text}");
        }
        let key = fresh();
        let cut = &key[..key.len() - 1];
        let longer = format!("{key}0");
        for text in ["cl_live_", "cl_live__", "cl_rt_x", "cl_live_0123456789ab", "cl_live_0123456789ab_short", "cl_live_é_ü", cut, &longer]
        {
            assert!(parse(text).err() == Some(NoKey::Mistyped), "{text}");
        }
        // A runtime's key does not become a person's by its beginning.
        assert!(parse(&of_runtime().replace("cl_rt_", "cl_live_")).err() == Some(NoKey::Mistyped));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_without_a_panic(text in ".*", ours in "cl_(live|rt)_.{0,120}") {
            let _ = (parse(&text).is_ok(), parse(&ours).is_ok());
        }

        #[test]
        fn one_wrong_character_is_a_slip_of_the_hand(of_a_runtime: bool, at in 0_usize..120, letter in "[0-9A-Za-z_-]") {
            let key = if of_a_runtime { of_runtime() } else { fresh() };
            let at = at % key.len();
            let mut typed = key.clone();
            typed.replace_range(at..=at, &letter);
            prop_assume!(typed != key);
            let wrong = parse(&typed).err();
            prop_assert!(wrong.is_some(), "{} is taken", typed);
            let prefix = if of_a_runtime { "cl_rt_" } else { "cl_live_" };
            prop_assert_eq!(wrong == Some(NoKey::Mistyped), typed.starts_with(prefix));
        }

        #[test]
        fn a_character_left_out_or_typed_twice_is_one_as_well(of_a_runtime: bool, at in 8_usize..120, twice: bool) {
            let mut key = if of_a_runtime { of_runtime() } else { fresh() };
            let at = 8 + at % (key.len() - 8);
            if twice { key.insert(at, char::from(key.as_bytes()[at])) } else { key.remove(at); }
            prop_assert!(parse(&key).err() == Some(NoKey::Mistyped));
        }
    }
}
