//! A small certificate authority of ClawLoops' own, for a server that no public one has certificates for: known by an address, or by a name of a home or
//! an office.
//!
//! Its root is made once and good for ten years, and for the server's own name or address alone: with a root that is trusted on somebody's device nobody can
//! pretend to be another site. What the server shows is signed with it, good for three months, and made anew a month before it ends. Everything lies in a
//! folder of the data directory that is named for the host: under another public address there is another authority.

use super::{Pair, covers, validity};
use crate::{
    Error, Result,
    clock::Clock,
    config::{Config, Entry, Tls},
};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    io::Write as _,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use time::{Duration, OffsetDateTime};

/// How long a root is good.
const ROOT_LIFE: Duration = Duration::days(3650);
/// How long the server's certificate is good. Browsers take 398 days at most.
const LIFE: Duration = Duration::days(90);
/// It is made anew when it has less than this left, and so is the root.
const LEFT: Duration = Duration::days(30);
/// Clocks of devices may be behind ours.
const EARLIER: Duration = Duration::DAY;

/// The root with its key, PEM, for the server's account alone.
const ROOT: &str = "authority.pem";
/// The server's certificate, the root and the server's key, in the same way.
const SERVER: &str = "server.pem";

/// The authority of one host.
#[derive(Clone)]
pub struct Authority {
    folder: PathBuf,
    host: String,
    /// Also for names before the host: where runtimes have names.
    wild: bool,
    clock: Arc<dyn Clock>,
}

/// What people trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Until when it is good.
    pub until: OffsetDateTime,
}

impl Root {
    /// SHA-256 of the certificate as programs show it: two digits a byte, with colons.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Sha256::digest(&self.certificate).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let text = BASE64_STANDARD.encode(&self.certificate);
        let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }
}

impl Authority {
    /// The one that the settings ask for; none where they ask for none.
    #[must_use]
    pub fn named(config: &Config, clock: Arc<dyn Clock>) -> Option<Arc<Self>> {
        let entry: &Entry = &config.entry;
        entry.tls.filter(|tls| *tls == Tls::OwnAuthority)?;
        let host = entry.public_url.host_str()?.trim_matches(['[', ']']).to_owned();
        let wild = entry.runtime_ports.is_none() && host.parse::<IpAddr>().is_err();
        Some(Arc::new(Self { folder: config.data.data_dir.join("tls").join(host.replace(':', "-")), host, wild, clock }))
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the server is to show now, with what proves it: made where it is missing, ends soon, or is not for this host.
    ///
    /// # Errors
    /// When a file cannot be read or written, or holds something else.
    pub async fn pair(self: &Arc<Self>) -> Result<Pair> {
        let own = Arc::clone(self);
        on_disk(move || own.current(own.clock.now())).await
    }

    /// The same as it is, without making anything; none where there is none yet.
    ///
    /// # Errors
    /// When a file cannot be read or holds something else.
    pub async fn look(self: &Arc<Self>) -> Result<Option<(Root, Option<Pair>)>> {
        let own = Arc::clone(self);
        on_disk(move || {
            let Some((root, _)) = own.read_root()? else { return Ok(None) };
            let pair = own.read_server(&root)?;
            Ok(Some((root, pair)))
        })
        .await
    }

    fn current(&self, now: OffsetDateTime) -> Result<Pair> {
        let (root, key) = match self.read_root()? {
            Some(found) if now < found.0.until - LEFT => found,
            found => self.make_root(now, found.is_some())?,
        };
        if let Some(pair) = self.read_server(&root)?
            && pair.own().is_some_and(|own| self.is_good(own, now))
        {
            return Ok(pair);
        }
        self.issue(&root, &key, now)?;
        self.read_server(&root)?.ok_or_else(|| self.failed("reading", "what was written just now is not there"))
    }

    fn is_good(&self, own: &CertificateDer<'_>, now: OffsetDateTime) -> bool {
        validity(own).is_some_and(|(from, until)| from <= now && now < until - LEFT)
            && covers(own, &self.host)
            && (!self.wild || covers(own, &format!("a-runtime.{}", self.host)))
    }

    fn read_root(&self) -> Result<Option<(Root, KeyPair)>> {
        let Some(text) = self.read(ROOT)? else { return Ok(None) };
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| self.failed("reading", error))?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).ok().and_then(|key| KeyPair::try_from(&key).ok());
        let key = key.ok_or_else(|| self.failed("reading", "there is no key in authority.pem"))?;
        let (_, until) =
            validity(&certificate).ok_or_else(|| self.failed("reading", "authority.pem does not say until when it is good"))?;
        Ok(Some((Root { certificate, until }, key)))
    }

    /// What the server shows, if this root signed it.
    fn read_server(&self, root: &Root) -> Result<Option<Pair>> {
        let Some(text) = self.read(SERVER)? else { return Ok(None) };
        let chain = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let (Ok(chain), Ok(key)) = (chain, PrivateKeyDer::from_pem_slice(text.as_bytes())) else { return Ok(None) };
        if chain.get(1) != Some(&root.certificate) {
            return Ok(None);
        }
        let key = rustls::sign::CertifiedKey::from_der(chain, key, &super::provider());
        Ok(key.ok().map(|key| Pair { key: Arc::new(key), digest: Sha256::digest(text.as_bytes()).into() }))
    }

    fn make_root(&self, now: OffsetDateTime, again: bool) -> Result<(Root, KeyPair)> {
        let made = |error: rcgen::Error| self.failed("making", error);
        let key = KeyPair::generate().map_err(made)?;
        let mut params = self.root_params();
        (params.not_before, params.not_after) = (now - EARLIER, now + ROOT_LIFE);
        let root = params.self_signed(&key).map_err(made)?;
        let text = format!("{}{}", root.pem(), key.serialize_pem());
        self.write(ROOT, &text, again)?;
        // Another server may have been first.
        let (root, key) = self.read_root()?.ok_or_else(|| self.failed("reading", "what was written just now is not there"))?;
        tracing::info!(folder = %self.folder.display(), fingerprint = root.fingerprint(), "made a certificate authority; people's devices are to trust it");
        Ok((root, key))
    }

    /// What the root says, but for its time: the same each time, so that whoever signs with its key is known as it.
    fn root_params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("ClawLoops at {}", self.host));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(self.constraints());
        params
    }

    /// Good for this host and for nothing else, whatever it signs.
    fn constraints(&self) -> NameConstraints {
        // As the baseline requirements of public authorities (7.1.5) say "none": the empty name, and all addresses.
        let no_name = GeneralSubtree::DnsName(String::new());
        let no_address = ["0.0.0.0", "::"].into_iter().filter_map(|any| Some(CidrSubnet::from_addr_prefix(any.parse().ok()?, 0)));
        match self.host.parse::<IpAddr>() {
            Ok(address) => {
                let only = CidrSubnet::from_addr_prefix(address, if address.is_ipv4() { 32 } else { 128 });
                NameConstraints { permitted_subtrees: vec![GeneralSubtree::IpAddress(only)], excluded_subtrees: vec![no_name] }
            }
            Err(_) => NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName(self.host.clone())],
                excluded_subtrees: no_address.map(GeneralSubtree::IpAddress).collect(),
            },
        }
    }

    fn issue(&self, root: &Root, root_key: &KeyPair, now: OffsetDateTime) -> Result<()> {
        let made = |error: rcgen::Error| self.failed("making", error);
        let mut names = vec![self.host.clone()];
        if self.wild {
            names.push(format!("*.{}", self.host));
        }
        let key = KeyPair::generate().map_err(made)?;
        let mut params = CertificateParams::new(names).map_err(made)?;
        // No name of a host: some programs would hold one against the constraints.
        params.distinguished_name = named("ClawLoops server");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (now - EARLIER, (now + LIFE).min(root.until));
        let certificate = params.signed_by(&key, &Issuer::new(self.root_params(), root_key)).map_err(made)?;
        self.write(SERVER, &format!("{}{}{}", certificate.pem(), root.pem(), key.serialize_pem()), true)
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        match fs::read_to_string(self.folder.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("reading", error)),
        }
    }

    /// Writes a file whole, for this account alone. What is there already stays, unless it is to be replaced.
    fn write(&self, name: &str, text: &str, replace: bool) -> Result<()> {
        let failed = |error: io::Error| self.failed("writing", error);
        // The data directory is as open as its owner likes it; this folder is not.
        if let Some(data_dir) = self.folder.ancestors().nth(2) {
            fs::create_dir_all(data_dir).map_err(failed)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(failed)?;
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(|error| self.failed("writing", error))?;
        let new = self.folder.join(format!("{name}.{:016x}", u64::from_be_bytes(random)));
        let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            if replace { fs::rename(&new, self.folder.join(name)) } else { fs::hard_link(&new, self.folder.join(name)) }
        });
        // After a rename it is not there any more.
        drop(fs::remove_file(&new));
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !replace => Ok(()),
            other => other.map_err(failed),
        }
    }

    fn failed(&self, doing: &str, why: impl std::fmt::Display) -> Error {
        Error::internal(format!("{doing} the certificate authority in {}", self.folder.display()), why.to_string())
    }
}

fn named(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "ClawLoops");
    name.push(DnType::CommonName, common);
    name
}

async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("making certificates", error))?
}
