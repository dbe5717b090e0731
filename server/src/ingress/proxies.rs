//! Who stands in front: proxies whose word on the client's address is taken, and ingresses that may ask on behalf of browsers.

use crate::{
    Result,
    config::{self, network::Network},
    platform::secret::hash_of,
};
use contract::{Code, Problem};
use http::{HeaderMap, header};
use secrecy::ExposeSecret as _;
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq as _;

/// The header in which an ingress without an address of its own says its token.
pub const TOKEN_HEADER: &str = "x-clawloops-ingress";
/// The shortest token that is taken, in characters.
const TOKEN_LENGTH: usize = 32;

/// What the settings say of whoever stands in front.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    trusted: Vec<Network>,
    asking: Vec<Network>,
    /// SHA-256 of the token.
    token: Option<[u8; 32]>,
}

impl Proxies {
    /// Reads the settings.
    ///
    /// # Errors
    /// `Invalid` when the token could be guessed.
    pub fn of(entry: &config::Entry) -> Result<Self> {
        let token = entry.ingress_token.as_ref().map(|token| token.expose_secret());
        if token.is_some_and(|token| token.len() < TOKEN_LENGTH || !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Problem::new(
                Code::Invalid,
                format!("CLAWLOOPS_INGRESS_TOKEN must be at least {TOKEN_LENGTH} characters, without spaces: whoever knows it learns where runtimes are."),
            )
            .remedy("openssl rand -hex 32 makes one.")
            .into());
        }
        Ok(Self { trusted: entry.trusted_proxies.clone(), asking: entry.forward_auth_from.clone(), token: token.map(hash_of) })
    }

    /// Whose request this is: the nearest address, from the right of `X-Forwarded-For`, that is no trusted proxy's. Whatever stands left of it
    /// anybody may have written.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let said: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(str::trim).collect();
        for text in said.into_iter().rev() {
            let Some(address) = address(text) else { break };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Whether an ingress may ask for others at all.
    #[must_use]
    pub fn any_may_ask(&self) -> bool {
        self.token.is_some() || !self.asking.is_empty()
    }

    /// Whether this one may ask for others: by its address, or by the token in [`TOKEN_HEADER`].
    #[must_use]
    pub fn may_ask(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.asking.iter().any(|network| network.contains(peer)) || only(headers, TOKEN_HEADER).is_some_and(|token| self.is_token(token))
    }

    /// Whether there is a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether the request bears the token as `Authorization: Bearer`.
    #[must_use]
    pub fn bears_token(&self, headers: &HeaderMap) -> bool {
        let said = only(headers, header::AUTHORIZATION.as_str()).and_then(|value| value.split_once(' '));
        said.is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && self.is_token(token.trim()))
    }

    /// Compared as hashes, and these in constant time: how long it takes tells nothing.
    fn is_token(&self, said: &str) -> bool {
        self.token.is_some_and(|token| hash_of(said).ct_eq(&token).into())
    }
}

/// The value of a header that comes once and is text.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut said = headers.get_all(name).iter();
    let first = said.next()?.to_str().ok()?;
    said.next().is_none().then_some(first)
}

/// An address, also with a port, as some proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn proxies(set: impl FnOnce(&mut config::Entry)) -> Proxies {
        let mut entry = Config::for_tests().entry;
        set(&mut entry);
        Proxies::of(&entry).unwrap()
    }

    fn client(peer: &str, said: &[&str]) -> String {
        let proxies = proxies(|entry| entry.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.1".parse().unwrap()]);
        let headers = said.iter().map(|value| (http::HeaderName::from_static("x-forwarded-for"), value.parse().unwrap())).collect();
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn whoever_is_no_proxy_is_the_client_whatever_it_says() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn the_first_foreign_address_from_the_right_is_the_client() {
        assert_eq!(client("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client("::ffff:127.0.0.1", &["6.6.6.6, 198.51.100.1, 10.1.2.3"]),
            "198.51.100.1",
            "what a client wrote itself is left of it"
        );
        assert_eq!(client("127.0.0.1", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["10.0.0.1, 10.0.0.2"]), "10.0.0.1", "all are proxies: the farthest");
    }

    #[test]
    fn nonsense_ends_the_chain() {
        assert_eq!(client("127.0.0.1", &["198.51.100.1, unknown"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["198.51.100.1, nonsense, 10.0.0.1"]), "10.0.0.1");
    }

    #[test]
    fn nobody_asks_for_others_unless_it_was_allowed() {
        const TOKEN: &str = "0123456789abcdef0123456789abcdef";
        let with = |name: &'static str, value: &str| HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        let none = proxies(|_| {});
        assert!(
            !none.any_may_ask() && !none.may_ask(peer, &with(TOKEN_HEADER, "")) && !none.bears_token(&with("authorization", "Bearer "))
        );

        let by_token = proxies(|entry| entry.ingress_token = Some(TOKEN.into()));
        assert!(
            by_token.may_ask(peer, &with(TOKEN_HEADER, TOKEN)) && by_token.bears_token(&with("authorization", &format!("bearer {TOKEN}")))
        );
        assert!(!by_token.may_ask(peer, &HeaderMap::new()) && !by_token.may_ask(peer, &with(TOKEN_HEADER, &TOKEN[1..])));
        let mut twice = with(TOKEN_HEADER, TOKEN);
        twice.append(TOKEN_HEADER, TOKEN.parse().unwrap());
        assert!(!by_token.may_ask(peer, &twice));

        let by_address = proxies(|entry| entry.forward_auth_from = vec!["127.0.0.1".parse().unwrap()]);
        assert!(by_address.may_ask(peer, &HeaderMap::new()) && !by_address.may_ask("127.0.0.2".parse().unwrap(), &HeaderMap::new()));
        assert!(!by_address.has_token());
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused_and_not_repeated() {
        let mut entry = Config::for_tests().entry;
        entry.ingress_token = Some("hunter2".into());
        let said = Proxies::of(&entry).unwrap_err().to_string();
        assert!(said.contains("CLAWLOOPS_INGRESS_TOKEN") && !said.contains("hunter2"), "{said}");
    }
}
