//! The assertion: who asks for which runtime, signed, for a moment. An ingress, or whatever stands behind it, can check it without asking back.
//!
//! A JSON Web Token (RFC 7519), signed with Ed25519 (RFC 8037), whose key is derived from the master key: every server of the installation signs with
//! the same one, and `/auth/keys` publishes what checks it (RFC 7517).

use crate::{
    Error, Result,
    data::ticket::Visit,
    platform::{keyring::Keyring, master_key::MasterKey},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use time::OffsetDateTime;

/// How long an assertion is good, in seconds.
pub const GOOD_FOR: i64 = 30;

/// Signs assertions.
pub struct Signer {
    keys: Arc<Keyring>,
    /// The key that was used last, with the id of its master key.
    last: Mutex<Option<(String, Arc<Ed25519KeyPair>)>>,
}

/// What an assertion says.
pub struct Claims<'a> {
    /// Our own origin.
    pub issuer: &'a str,
    /// The origin of the runtime that it is for, and of no other.
    pub audience: &'a str,
    /// Who asks.
    pub visit: &'a Visit,
    /// By which address OpenClaw knows them.
    pub email: &'a str,
    /// The present moment.
    pub now: OffsetDateTime,
}

impl Signer {
    /// Will sign with what is derived from the present one of these keys.
    #[must_use]
    pub fn new(keys: Arc<Keyring>) -> Self {
        Self { keys, last: Mutex::default() }
    }

    /// Signs.
    ///
    /// # Errors
    /// When the present master key is not on this server.
    pub fn sign(&self, claims: &Claims<'_>) -> Result<String> {
        let master = self.keys.present()?;
        let pair = self.pair(&master)?;
        let issued = claims.now.unix_timestamp();
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": master.id()});
        let payload = json!({
            "iss": claims.issuer,
            "aud": claims.audience,
            "sub": claims.visit.person_id,
            "email": claims.email,
            "runtime": claims.visit.runtime_id,
            "iat": issued,
            "exp": issued + GOOD_FOR,
        });
        let mut token = format!("{}.{}", encoded(&header), encoded(&payload));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(pair.sign(token.as_bytes()));
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }

    /// What checks them, as a key set: of every master key that is here, so that a rotation invalidates nothing.
    ///
    /// # Errors
    /// When a key cannot be made, which does not happen.
    pub fn published(&self) -> Result<Value> {
        let keys = self.keys.all().into_iter().map(|master| {
            let public = pair(&master)?.public_key().as_ref().to_vec();
            Ok(json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": master.id(), "x": BASE64_URL_SAFE_NO_PAD.encode(public)}))
        });
        Ok(json!({ "keys": keys.collect::<Result<Vec<_>>>()? }))
    }

    fn pair(&self, master: &MasterKey) -> Result<Arc<Ed25519KeyPair>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, pair)) = last.as_ref()
            && id == master.id()
        {
            return Ok(Arc::clone(pair));
        }
        let pair = Arc::new(pair(master)?);
        *last = Some((master.id().to_owned(), Arc::clone(&pair)));
        Ok(pair)
    }
}

fn pair(master: &MasterKey) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(master.assertions())
        .map_err(|error| Error::internal("making the key of assertions", error.to_string()))
}

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;
    use ring::signature::{ED25519, UnparsedPublicKey};
    use time::macros::datetime;

    fn parts(token: &str) -> (Value, Value, Vec<u8>) {
        let mut parts = token.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap());
        let (header, payload, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        assert!(parts.next().is_none());
        (serde_json::from_slice(&header).unwrap(), serde_json::from_slice(&payload).unwrap(), signature)
    }

    #[test]
    fn an_assertion_is_for_one_runtime_and_a_moment_and_its_published_key_checks_it() {
        let signer = Signer::new(Keyring::of(&[[7; 32], [8; 32]]));
        let visit = Visit { session_id: new_id(), person_id: new_id(), runtime_id: new_id(), access: None, ends_at: None };
        let now = datetime!(2026-11-28 22:00:00 UTC);
        let claims =
            Claims { issuer: "https://claw.example", audience: "https://ada.claw.example", visit: &visit, email: "ada@example.com", now };
        let token = signer.sign(&claims).unwrap();
        let (header, payload, signature) = parts(&token);
        assert_eq!((header["alg"].as_str(), payload["aud"].as_str()), (Some("EdDSA"), Some("https://ada.claw.example")));
        assert_eq!(payload["exp"].as_i64().unwrap() - payload["iat"].as_i64().unwrap(), GOOD_FOR);
        assert_eq!(payload["iat"], now.unix_timestamp());
        assert_eq!(
            (payload["email"].as_str(), payload["sub"].as_str()),
            (Some("ada@example.com"), Some(visit.person_id.to_string().as_str()))
        );
        assert!(!payload.to_string().contains(&visit.session_id.to_string()), "a session is nobody else's business");

        let published = signer.published().unwrap();
        let keys = published["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2, "also of the master key before");
        let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, BASE64_URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap());
        let signed = token.rsplit_once('.').unwrap().0;
        assert!(public.verify(signed.as_bytes(), &signature).is_ok());
        assert!(public.verify(signed.replacen('e', "f", 1).as_bytes(), &signature).is_err());
    }
}
