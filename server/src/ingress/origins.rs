//! Names: which host is the dashboard, which is a runtime's, and what their origins are.
//!
//! A runtime has a label, which is the first part of its host name, or its port in digits where runtimes have ports in place of names.

use crate::config::{self, Tls, ports::Ports};
use url::Url;

/// The cookie of a browser that was let into a runtime. Where all runtimes share a host, their port is added to it.
const COOKIE: &str = "__Host-clawloops_runtime";
/// The same on a shared host. By this beginning a browser takes it from a header alone: no script of a neighbour's page can plant one.
const COOKIE_OF_PORT: &str = "__Host-Http-clawloops_runtime_";

/// The origins that the public address makes.
#[derive(Clone, Debug)]
pub struct Origins {
    scheme: String,
    host: String,
    port: Option<u16>,
    /// Those of runtimes, where they have no names.
    runtimes: Option<Ports>,
    own_authority: bool,
}

/// Whom a `Host` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The dashboard.
    Dashboard,
    /// A runtime's own host, by its label.
    Runtime(String),
    /// A name that is not ours.
    Elsewhere,
}

impl Origins {
    /// Reads the public address.
    #[must_use]
    pub fn of(public_url: &Url) -> Self {
        Self {
            scheme: public_url.scheme().to_owned(),
            host: public_url.host_str().unwrap_or("localhost").to_ascii_lowercase(),
            port: public_url.port(),
            runtimes: None,
            own_authority: false,
        }
    }

    /// Reads the settings.
    #[must_use]
    pub fn configured(entry: &config::Entry) -> Self {
        Self { runtimes: entry.runtime_ports, own_authority: entry.tls == Some(Tls::OwnAuthority), ..Self::of(&entry.public_url) }
    }

    /// Whether runtimes have ports of the dashboard's host, and no hosts of their own.
    #[must_use]
    pub fn by_port(&self) -> bool {
        self.runtimes.is_some()
    }

    /// Whether browsers are told to come over https alone from now on. Not where the host has other ports, which that would count for as well and which
    /// need not be ours; and not with an authority that a person may cease to trust, since then nothing would lead back.
    #[must_use]
    pub fn pins_https(&self) -> bool {
        self.scheme == "https" && !self.by_port() && !self.own_authority
    }

    /// The name of the cookie that lets a browser into the runtime of this label. Browsers send a cookie to every port of its host, so there each runtime's
    /// has a name of its own.
    #[must_use]
    pub fn cookie(&self, label: &str) -> String {
        if self.by_port() { format!("{COOKIE_OF_PORT}{label}") } else { COOKIE.to_owned() }
    }

    /// The dashboard's origin, `http://clawloops.localhost:3000`.
    #[must_use]
    pub fn dashboard(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    /// The origin of a runtime.
    #[must_use]
    pub fn runtime(&self, label: &str) -> String {
        format!("{}://{}", self.scheme, self.runtime_authority(label))
    }

    /// Host and port of a runtime, as in `Host`.
    #[must_use]
    pub fn runtime_authority(&self, label: &str) -> String {
        if self.by_port() { format!("{}:{label}", self.host) } else { format!("{label}.{}", self.authority()) }
    }

    /// All origins of runtimes, as a source expression of a content security policy.
    #[must_use]
    pub fn any_runtime(&self) -> String {
        self.runtime("*")
    }

    /// The dashboard's host, without a port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Whom this `Host` (with or without port) names. The dashboard's port is not compared: a proxy in front may have another one.
    #[must_use]
    pub fn place(&self, host: &str) -> Place {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, port.parse::<u16>().ok()),
            _ => (host, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name == self.host {
            let of_runtime = self.runtimes.zip(port).filter(|(ports, port)| ports.contains(*port));
            return of_runtime.map_or(Place::Dashboard, |(_, port)| Place::Runtime(port.to_string()));
        }
        if self.by_port() {
            return Place::Elsewhere;
        }
        match name.strip_suffix(&self.host).and_then(|rest| rest.strip_suffix('.')) {
            Some(label) if is_label(label) => Place::Runtime(label.to_owned()),
            _ => Place::Elsewhere,
        }
    }
}

/// One label of a host name: letters, digits and inner hyphens.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        Origins::of(&"http://clawloops.localhost:3000".parse().unwrap())
    }

    #[test]
    fn a_host_names_the_dashboard_a_runtime_or_nobody() {
        let origins = origins();
        assert_eq!(origins.place("clawloops.localhost:3000"), Place::Dashboard);
        assert_eq!(origins.place("CLAWLOOPS.localhost."), Place::Dashboard);
        assert_eq!(origins.place("my-agent.clawloops.localhost:3000"), Place::Runtime("my-agent".into()));
        for foreign in [
            "",
            "localhost",
            "127.0.0.1:3000",
            "[::1]:3000",
            "evilclawloops.localhost",
            "a.b.clawloops.localhost",
            "-a.clawloops.localhost",
            ".clawloops.localhost",
            "a_b.clawloops.localhost",
        ] {
            assert_eq!(origins.place(foreign), Place::Elsewhere, "{foreign}");
        }
    }

    fn by_port(public_url: &str) -> Origins {
        Origins { runtimes: Some("20000-20009".parse().unwrap()), ..Origins::of(&public_url.parse().unwrap()) }
    }

    #[test]
    fn a_port_names_a_runtime_where_there_are_no_names() {
        let origins = by_port("https://192.0.2.7");
        assert_eq!(origins.place("192.0.2.7"), Place::Dashboard);
        assert_eq!(origins.place("192.0.2.7:443"), Place::Dashboard);
        assert_eq!(origins.place("192.0.2.7:20010"), Place::Dashboard);
        assert_eq!(origins.place("192.0.2.7:20009"), Place::Runtime("20009".into()));
        // As a browser writes it, so that one runtime has one label.
        assert_eq!(origins.place("192.0.2.7:020009"), Place::Runtime("20009".into()));
        for foreign in ["", "192.0.2.8:20001", "ada.192.0.2.7", "20001.192.0.2.7", "localhost:20001", ":20001", "[::1]:20001"] {
            assert_eq!(origins.place(foreign), Place::Elsewhere, "{foreign}");
        }
        assert_eq!(origins.dashboard(), "https://192.0.2.7");
        assert_eq!(origins.runtime("20001"), "https://192.0.2.7:20001");
        assert_eq!(origins.runtime_authority("20001"), "192.0.2.7:20001");
        assert_eq!(by_port("http://claw.localhost:3000").any_runtime(), "http://claw.localhost:*");
        assert_eq!(origins.cookie("20001"), "__Host-Http-clawloops_runtime_20001");
        assert!(!origins.pins_https() && Origins::of(&"https://claw.example".parse().unwrap()).pins_https());
    }

    #[test]
    fn origins_carry_the_port() {
        assert_eq!(origins().dashboard(), "http://clawloops.localhost:3000");
        assert_eq!(origins().runtime("ada"), "http://ada.clawloops.localhost:3000");
        let standard = Origins::of(&"https://claw.example/".parse().unwrap());
        assert_eq!(standard.dashboard(), "https://claw.example");
        assert_eq!(standard.any_runtime(), "https://*.claw.example");
    }
}
