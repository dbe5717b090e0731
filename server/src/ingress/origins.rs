//! Names: which host is the dashboard, which is a runtime's, and what their origins are.

use url::Url;

/// The origins that the public address makes.
#[derive(Clone, Debug)]
pub struct Origins {
    scheme: String,
    host: String,
    port: Option<u16>,
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
        }
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
        format!("{label}.{}", self.authority())
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

    /// Whom this `Host` (with or without port) names. The port is not compared: a proxy in front may have another one.
    #[must_use]
    pub fn place(&self, host: &str) -> Place {
        let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name == self.host {
            return Place::Dashboard;
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

    #[test]
    fn origins_carry_the_port() {
        assert_eq!(origins().dashboard(), "http://clawloops.localhost:3000");
        assert_eq!(origins().runtime("ada"), "http://ada.clawloops.localhost:3000");
        let standard = Origins::of(&"https://claw.example/".parse().unwrap());
        assert_eq!(standard.dashboard(), "https://claw.example");
        assert_eq!(standard.any_runtime(), "https://*.claw.example");
    }
}
