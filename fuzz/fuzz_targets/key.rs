//! The key parser. What was rendered is taken apart into what it was made of, nothing else is a key, and a slip of the hand is told apart from what is
//! nothing of ours.
#![no_main]

use contract::RuntimeId;
use fuzz::{
    model::key_text::{Kind, NoKey, parse},
    runtime::{
        checksum,
        token::{self, RuntimeKey},
    },
};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret as _;

const KINDS: [Kind; 2] = [Kind::Person, Kind::Runtime];

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    judge(&text);
    for kind in KINDS {
        let mut ours = format!("{}{text}", kind.prefix());
        judge(&ours);
        ours.push_str(&checksum::of(&ours));
        judge(&ours);
    }
    if let [one, two, three, rest @ ..] = data {
        slips(&rendered(*one, rest), usize::from(*two), *three);
    }
});

/// How long the public part and the secret of a kind are.
fn lengths(kind: Kind) -> (usize, usize) {
    match kind {
        Kind::Person => (12, 43),
        Kind::Runtime => (20, 64),
    }
}

fn judge(text: &str) {
    let ours = KINDS.into_iter().find(|kind| text.starts_with(kind.prefix()));
    match (parse(text), ours) {
        (Ok(sent), Some(kind)) => {
            assert!(sent.kind == kind && (sent.public_id.len(), sent.secret.len()) == lengths(kind));
            let bare = format!("{}{}_{}", kind.prefix(), sent.public_id, sent.secret);
            assert!(text == bare || text == format!("{bare}{}", checksum::of(&bare)), "{text} is taken for {bare}");
        }
        (Err(NoKey::Mistyped), Some(kind)) => assert!(!has_form(text, kind), "{text} is a key"),
        (Err(NoKey::Foreign), None) => {}
        (sent, ours) => panic!("{text} of {ours:?} is {:?}", sent.err()),
    }
}

/// Whether a text has the form of a key of this kind, with a checksum that is right or, as those from before, with none.
fn has_form(text: &str, kind: Kind) -> bool {
    let (public, secret) = lengths(kind);
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let bare = kind.prefix().len() + public + 1 + secret;
    let parts = text.strip_prefix(kind.prefix()).and_then(|rest| rest.split_once('_'));
    let has_sum = |(key, sum): (&str, &str)| sum.is_empty() || sum == checksum::of(key);
    plain && parts.is_some_and(|(id, _)| id.len() == public) && text.split_at_checked(bare).is_some_and(has_sum)
}

/// A key as the server renders it: a runtime's, or a person's of these digits.
fn rendered(root: u8, data: &[u8]) -> String {
    if root % 2 == 0 {
        let number = data.first().copied().unwrap_or_default();
        let RuntimeKey { public_id, secret, whole } = token::derive(&[root; 32], RuntimeId(uuid::Uuid::nil()), 1, number.into());
        let sent = parse(whole.expose_secret()).ok().expect("what was rendered is a key");
        assert!(sent.kind == Kind::Runtime && sent.public_id == public_id && sent.secret == secret.expose_secret());
        return whole.expose_secret().to_owned();
    }
    let digits = data.iter().copied().chain(std::iter::repeat(root)).map(|byte| char::from(checksum::DIGITS[usize::from(byte) % 62]));
    let digits: String = digits.take(12 + 43).collect();
    let mut whole = format!("{}{}_{}", Kind::Person.prefix(), &digits[..12], &digits[12..]);
    whole.push_str(&checksum::of(&whole));
    let sent = parse(&whole).ok().expect("what was rendered is a key");
    assert!(sent.kind == Kind::Person && sent.public_id == &digits[..12] && sent.secret == &digits[12..]);
    whole
}

/// One letter for another, one left out, one typed twice, two that changed places.
fn slips(key: &str, at: usize, letter: u8) {
    let at = at % (key.len() - 1);
    let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    let mut other = key.to_owned();
    other.replace_range(at..=at, &char::from(letters[usize::from(letter) % letters.len()]).to_string());
    let (mut less, mut twice) = (key.to_owned(), key.to_owned());
    let taken = less.remove(at);
    twice.insert(at, taken);
    let mut turned = less.clone();
    turned.insert(at + 1, taken);
    for typed in [other, less, twice, turned] {
        if typed == key {
            continue;
        }
        let is_ours = KINDS.iter().any(|kind| typed.starts_with(kind.prefix()));
        let expected = if is_ours { NoKey::Mistyped } else { NoKey::Foreign };
        assert_eq!(parse(&typed).err(), Some(expected), "{typed} for {key}");
    }
}
