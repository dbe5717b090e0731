//! Addresses that people type: which may be called, and clients that hold to it when a name is resolved, not only when it was typed.

use crate::{Error, Result, config::Models};
use contract::{Code, Problem};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use secrecy::ExposeSecret as _;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;
use url::{Host, Url};

/// How long a name may take to be resolved when an address is typed.
const LOOKUP: Duration = Duration::from_secs(5);

/// Which addresses a name may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The internet.
    Public,
    /// Private networks too, where an administrator allowed it: a vLLM or an Ollama there is a usual case. Link-local addresses never: there, clouds
    /// keep the machine's own credentials.
    Private,
}

impl Reach {
    const fn of(allows_private: bool) -> Self {
        if allows_private { Self::Private } else { Self::Public }
    }

    /// Why this address is not called.
    fn refuses(self, address: IpAddr) -> Option<&'static str> {
        if is_reserved(address) {
            return Some("This address is reserved for the machine itself and its cloud, and is not used for models.");
        }
        (self == Self::Public && is_private(address))
            .then_some("This address belongs to this machine or its own network. If that is meant, tick that it is in your own network.")
    }
}

/// An address that somebody typed: http or https, without a user name, and not one that belongs to the machine's own cloud; one of a private network
/// only where that is allowed.
///
/// # Errors
/// What is wrong with it, for the field `base_url`.
pub(super) async fn checked(text: &str, allows_private: bool) -> Result<Url> {
    let wrong = |message: &str| -> Error { Problem::new(Code::Invalid, message).field("base_url").into() };
    let url = Url::parse(text).map_err(|_| wrong("This is not an address. It looks like http://127.0.0.1:8000/v1."))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("The address must begin with http:// or https://."));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("The address must not carry a user name or a password. The key has a field of its own."));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("The address must end with its path, without ? or #."));
    }
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses: Vec<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![address.into()],
        Some(Host::Ipv6(address)) => vec![address.into()],
        Some(Host::Domain(name)) => match timeout(LOOKUP, tokio::net::lookup_host((name, port))).await {
            Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
            Ok(Err(_)) | Err(_) => return Err(wrong("The name in this address cannot be resolved from this server.")),
        },
        None => return Err(wrong("The address has no host.")),
    };
    match addresses.iter().find_map(|address| Reach::of(allows_private).refuses(*address)) {
        Some(why) => Err(wrong(why)),
        None => Ok(url),
    }
}

/// Addresses that are nobody's server, or where a cloud keeps a machine's credentials.
fn is_reserved(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(address) => {
            address.is_link_local()
                || address.is_unspecified()
                || address.is_broadcast()
                || address.is_multicast()
                || address.octets()[0] == 0
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                // Amazon's metadata address.
                || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

/// Addresses of this machine and of private networks (RFC 1918, 4193, 6598), of tests (2544) and of no use yet (1112).
fn is_private(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            address.is_private()
                || address.is_loopback()
                || (first == 100 && second & 0xc0 == 64)
                || (first == 192 && second == 0 && third == 0)
                || (first == 198 && second & 0xfe == 18)
                || first >= 240
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// The address that is meant: of an IPv4 address within an IPv6 one (mapped; translated, RFC 6052; 6to4) the former.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address.to_canonical() else {
        return address.to_canonical();
    };
    let octets = six.octets();
    let within = |at: usize| Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]).into();
    match six.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => within(12),
        [0x2002, ..] => within(2),
        _ => six.into(),
    }
}

/// Clients for what is outside. Redirects are not followed, and names are resolved by us, so that one that changes its mind leads nowhere else.
pub(super) struct Outside {
    public: reqwest::Client,
    private: reqwest::Client,
}

impl Outside {
    /// # Errors
    /// When the proxy is none, or no client can be made.
    pub fn new(models: &Models) -> Result<Self> {
        let client = |reach| {
            let mut exempt = None;
            let mut builder = super::client();
            if let Some(proxy) = &models.https_proxy {
                // Without the address: it may carry a password.
                let named = reqwest::Proxy::https(proxy.expose_secret()).map_err(|error| failed(error.without_url()))?;
                exempt = Url::parse(proxy.expose_secret()).ok().and_then(|url| url.host_str().map(str::to_owned));
                builder = builder.proxy(named.no_proxy(reqwest::NoProxy::from_string(&models.direct_hosts())));
            }
            builder.dns_resolver(Arc::new(Guard { reach, exempt })).build().map_err(failed)
        };
        Ok(Self { public: client(Reach::Public)?, private: client(Reach::Private)? })
    }

    /// The one for an address of this kind.
    pub const fn to(&self, allows_private: bool) -> &reqwest::Client {
        if allows_private { &self.private } else { &self.public }
    }
}

fn failed(error: reqwest::Error) -> Error {
    Error::internal("making the HTTP clients for providers", error)
}

/// Resolves names, and refuses where they lead to what may not be reached: all of the answer, for one that mixes both is up to something.
struct Guard {
    reach: Reach,
    /// The proxy's own name, which an operator set.
    exempt: Option<String>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, is_exempt) = (self.reach, self.exempt.as_deref() == Some(name.as_str()));
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let refused = found.iter().find_map(|address| reach.refuses(address.ip())).filter(|_| !is_exempt);
            match refused {
                Some(why) => Err(why.into()),
                None => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_of_the_machine_and_its_cloud_are_refused() {
        for text in [
            "http://169.254.169.254/latest/meta-data",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://2852039166/",
            "http://[fe80::1]/v1",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0:3000/",
            "http://0.1.2.3/",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
            "http://user:word@127.0.0.1/v1",
            "http://127.0.0.1/v1?x=1",
            "127.0.0.1:8000",
            "nonsense",
        ] {
            assert!(checked(text, true).await.is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_private_address_wants_to_be_allowed() {
        for text in [
            "http://127.0.0.1:8000/v1",
            "http://localhost:8000/v1",
            "http://0x7f.1/",
            "http://10.0.0.7:8000",
            "http://172.31.0.1/",
            "https://192.168.1.4/v1",
            "http://100.64.0.1/",
            "http://[::1]:8000/",
            "http://[fd12::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[64:ff9b::10.0.0.1]/",
        ] {
            assert!(checked(text, true).await.is_ok(), "{text}");
            let Err(Error::Problem(problem)) = checked(text, false).await else { panic!("{text}") };
            assert!(problem.message.contains("own network"), "{text}: {}", problem.message);
        }
        for text in ["https://8.8.8.8/v1", "https://[2606:4700::1111]/", "http://100.128.0.1/", "http://172.32.0.1/"] {
            assert!(checked(text, false).await.is_ok(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_that_comes_to_lead_inside_is_not_followed() {
        super::super::ensure_tls();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let came = tokio::spawn(async move { listener.accept().await });
        let outside = Outside::new(&crate::config::Config::for_tests().models).unwrap();
        let failed = outside.to(false).get(format!("http://localhost:{port}/")).send().await.unwrap_err();
        assert!(crate::error::chain(&failed).contains("own network"), "{}", crate::error::chain(&failed));
        assert!(!came.is_finished(), "nothing was sent");
        let reached = outside.to(true).get(format!("http://localhost:{port}/")).timeout(Duration::from_millis(300)).send();
        assert!(reached.await.is_err());
        assert!(came.await.is_ok());
    }
}
