//! A runtime's own cookies where all runtimes share a host and differ by port.
//!
//! Browsers keep cookies by host and send them to every port of it. So each cookie that a runtime sets is kept under a name with the runtime's port, out of
//! reach of scripts and with a proof that this very runtime set it; on the way in the name is what it was, and what has no such name or proof stays
//! outside: other runtimes' cookies, and what the script of a neighbour's page planted.

use crate::platform::{keyring::Keyring, master_key::MasterKey};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use contract::RuntimeId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue, header};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// What browsers judge by the beginning of a name stays at its beginning. Longer ones first.
const JUDGED: &[&str] = &["__Host-Http-", "__Host-", "__Secure-", "__Http-"];
/// How many bytes of the proof are kept: more than anybody tries out through a web server.
const PROOF: usize = 16;

/// The cookies of one runtime.
pub struct Jar<'a> {
    keys: &'a Keyring,
    runtime_id: RuntimeId,
    label: &'a str,
}

impl<'a> Jar<'a> {
    /// Of the runtime with this label.
    #[must_use]
    pub fn of(keys: &'a Keyring, runtime_id: RuntimeId, label: &'a str) -> Self {
        Self { keys, runtime_id, label }
    }

    /// A `Set-Cookie` of the runtime as a browser may keep it. None for a cookie without a name, and where no master key is here.
    #[must_use]
    pub fn outward(&self, set: &[u8]) -> Option<HeaderValue> {
        let (pair, attributes) = set.iter().position(|byte| *byte == b';').map_or((set, &b""[..]), |at| set.split_at(at));
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let name = std::str::from_utf8(pair.get(..at)?).ok()?.trim();
        let value = pair.get(at + 1..)?.trim_ascii();
        if name.is_empty() {
            return None;
        }
        let key = self.keys.present().ok()?;
        let (judged, rest) = split(name);
        let mut kept = format!("{judged}{}{rest}={}.", self.mark(), self.proof(&key, name, value)).into_bytes();
        kept.extend_from_slice(value);
        kept.extend_from_slice(attributes);
        let is_closed = attributes.split(|byte| *byte == b';').any(|attribute| attribute.trim_ascii().eq_ignore_ascii_case(b"httponly"));
        if !is_closed {
            kept.extend_from_slice(b"; HttpOnly");
        }
        HeaderValue::from_bytes(&kept).ok()
    }

    /// Those of a browser's cookies that this runtime set, as it knows them; none when it set none.
    #[must_use]
    pub fn inward(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let keys = self.keys.all();
        let mut kept: Vec<String> = Vec::new();
        for value in headers.get_all(header::COOKIE) {
            // Bytes that are no text are no cookie of ours.
            let Ok(text) = value.to_str() else { continue };
            kept.extend(text.split(';').filter_map(|pair| self.own(&keys, pair.trim())));
        }
        (!kept.is_empty()).then(|| HeaderValue::from_str(&kept.join("; ")).ok()).flatten()
    }

    fn own(&self, keys: &[std::sync::Arc<MasterKey>], pair: &str) -> Option<String> {
        let (kept_name, kept_value) = pair.split_once('=')?;
        let (judged, rest) = split(kept_name);
        let name = format!("{judged}{}", rest.strip_prefix(&self.mark())?);
        let (proof, value) = kept_value.split_once('.')?;
        let is_own =
            |key: &std::sync::Arc<MasterKey>| bool::from(self.proof(key, &name, value.as_bytes()).as_bytes().ct_eq(proof.as_bytes()));
        keys.iter().any(is_own).then(|| format!("{name}={value}"))
    }

    /// What stands in the names of this runtime's cookies.
    fn mark(&self) -> String {
        format!("rt{}_", self.label)
    }

    /// Ports are given away anew: so this is of the runtime and not of its port.
    fn proof(&self, key: &MasterKey, name: &str, value: &[u8]) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut hmac = Hmac::<Sha256>::new_from_slice(key.cookies()).expect("any length");
        hmac.update(self.runtime_id.0.as_bytes());
        hmac.update(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
        hmac.update(name.as_bytes());
        hmac.update(value);
        let whole = hmac.finalize().into_bytes();
        BASE64_URL_SAFE_NO_PAD.encode(whole.get(..PROOF).unwrap_or(&whole))
    }
}

/// The beginning of a name that browsers judge, and the rest.
fn split(name: &str) -> (&str, &str) {
    let judged = JUDGED.iter().find(|start| name.get(..start.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(start)));
    name.split_at(judged.map_or(0, |start| start.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;
    use std::sync::Arc;

    fn keys() -> Arc<Keyring> {
        Keyring::of(&[[7; 32]])
    }

    fn cookies(pairs: &[&str]) -> HeaderMap {
        pairs.iter().map(|pair| (header::COOKIE, HeaderValue::from_str(pair).unwrap())).collect()
    }

    /// What a browser sends back of this.
    fn sent(set: &HeaderValue) -> String {
        set.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_comes_back_to_its_runtime_and_to_no_other() {
        let (keys, runtime) = (keys(), new_id());
        let jar = Jar::of(&keys, runtime, "20001");
        for (set, name) in [("theme=dark; Path=/", "rt20001_theme"), ("__Host-id=a=b.c; Path=/; Secure; httponly", "__Host-rt20001_id")] {
            let kept = jar.outward(set.as_bytes()).unwrap();
            let text = kept.to_str().unwrap();
            assert!(text.starts_with(&format!("{name}=")), "{text}");
            assert_eq!(text.to_ascii_lowercase().matches("httponly").count(), 1, "{text}");
            assert!(text.contains("; Path=/"));
            let sent = sent(&kept);
            let back = cookies(&["__Host-Http-clawloops_session=s; x=1", &sent, "rt20002_theme=z"]);
            assert_eq!(jar.inward(&back).unwrap(), set.split(';').next().unwrap());
            // Another runtime, also one that has the same port later.
            assert_eq!(Jar::of(&keys, runtime, "20002").inward(&back), None);
            assert_eq!(Jar::of(&keys, new_id(), "20001").inward(&back), None);
            assert_eq!(Jar::of(&Keyring::of(&[[8; 32]]), runtime, "20001").inward(&back), None);
        }
        // After the master key was rotated, the older one still proves.
        let kept = sent(&jar.outward(b"a=1").unwrap());
        assert_eq!(Jar::of(&Keyring::of(&[[9; 32], [7; 32]]), runtime, "20001").inward(&cookies(&[&kept])).unwrap(), "a=1");
    }

    #[test]
    fn what_a_neighbour_plants_stays_outside() {
        let (keys, runtime) = (keys(), new_id());
        let jar = Jar::of(&keys, runtime, "20001");
        let good = sent(&jar.outward(b"id=mine").unwrap());
        let (name, value) = good.split_once('=').unwrap();
        let other = sent(&Jar::of(&keys, new_id(), "20001").outward(b"id=theirs").unwrap());
        for planted in [
            "id=theirs".to_owned(),
            "rt20001_id=theirs".to_owned(),
            "rt20001_id=.theirs".to_owned(),
            format!("{name}={}", value.replace("mine", "theirs")),
            format!("rt20001_other={value}"),
            format!("__Host-{good}"),
            other,
            "=rt20001_id".to_owned(),
            "rt20001_id".to_owned(),
            String::new(),
        ] {
            assert_eq!(jar.inward(&cookies(&[&planted])), None, "{planted}");
            assert_eq!(jar.inward(&cookies(&[&planted, &good])).unwrap(), "id=mine", "{planted}");
        }
        for nameless in ["", "=x", "x", " =x; Path=/", ";a=b"] {
            assert_eq!(jar.outward(nameless.as_bytes()), None, "{nameless:?}");
        }
    }
}
