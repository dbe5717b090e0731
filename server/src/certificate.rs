//! The certificate that this server shows: read from PEM files, checked against its key, and looked at for whom and until when it is good.

pub mod authority;
pub mod source;

use crate::{Result, config::Entry};
use contract::{Code, Problem};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// Where a certificate and its key lie.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM: the server's own certificate first, those that lead to its authority after it.
    pub certificate: PathBuf,
    /// PEM: its key.
    pub key: PathBuf,
}

impl Files {
    /// The files that the settings name; none where this server speaks plain http.
    #[must_use]
    pub fn named(entry: &Entry) -> Option<Self> {
        Some(Self { certificate: entry.tls_cert.clone()?, key: entry.tls_key.clone()? })
    }
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What is shown, and what proves it.
    pub key: Arc<CertifiedKey>,
    /// SHA-256 over both files: another one is another pair.
    pub digest: [u8; 32],
}

impl Pair {
    /// The server's own certificate.
    #[must_use]
    pub fn own(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }
}

/// The cryptography of TLS here, said each time so that no default of the process is leaned on.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads both files. What cannot be used is told with the file's name; what stands in a key is never told.
///
/// # Errors
/// `Invalid` when a file cannot be read, holds nothing of its kind, or the key is not the certificate's.
pub async fn read(files: &Files) -> Result<Pair> {
    let certificate = text(&files.certificate, "certificate", "CLAWLOOPS_TLS_CERT").await?;
    let key = text(&files.key, "key", "CLAWLOOPS_TLS_KEY").await?;
    let mut digest = Sha256::new();
    digest.update(u64::try_from(certificate.len()).unwrap_or(u64::MAX).to_be_bytes());
    digest.update(&certificate);
    digest.update(&key);
    let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| unusable(&files.certificate, &error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable(&files.certificate, "there is no BEGIN CERTIFICATE in it"));
    }
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| unusable(&files.key, "there is no BEGIN PRIVATE KEY in it"))?;
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => unusable(&files.key, "it is not the key of that certificate"),
        rustls::Error::InvalidCertificate(why) => unusable(&files.certificate, &format!("{why:?}")),
        other => unusable(&files.key, &other.to_string()),
    })?;
    Ok(Pair { key: Arc::new(key), digest: digest.finalize().into() })
}

async fn text(path: &Path, what: &str, variable: &str) -> Result<Vec<u8>> {
    Ok(tokio::fs::read(path).await.map_err(|error| {
        Problem::new(Code::Invalid, format!("The {what} {} cannot be read: {error}.", path.display()))
            .remedy(format!("Let {variable} name a PEM file that this account may read."))
    })?)
}

fn unusable(path: &Path, why: &str) -> crate::Error {
    Problem::new(Code::Invalid, format!("{} cannot be used: {why}.", path.display()))
        .remedy("CLAWLOOPS_TLS_CERT is a PEM file with the certificate and those that lead to its authority, CLAWLOOPS_TLS_KEY one with its key.")
        .into()
}

/// Whether the certificate is good for this host name or address.
#[must_use]
pub fn covers(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(name) = ServerName::try_from(host.to_owned()) else { return false };
    ParsedCertificate::try_from(certificate).is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, &name).is_ok())
}

/// From when until when a certificate is good (RFC 5280, 4.1.2.5); none where it is not written as one.
#[must_use]
pub fn validity(certificate: &CertificateDer<'_>) -> Option<(OffsetDateTime, OffsetDateTime)> {
    const SEQUENCE: u8 = 0x30;
    /// `[0]`: the version, which the first version of certificates leaves out.
    const VERSION: u8 = 0xa0;
    let mut whole = Der(Der(certificate.as_ref()).of(SEQUENCE)?);
    let mut signed = Der(whole.of(SEQUENCE)?);
    let (kind, _) = signed.next()?;
    if kind == VERSION {
        // The serial number.
        signed.next()?;
    }
    // The algorithm and the issuer.
    signed.next()?;
    signed.next()?;
    let mut validity = Der(signed.of(SEQUENCE)?);
    Some((validity.moment()?, validity.moment()?))
}

/// Reads values in the distinguished encoding (X.690), one after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The kind of the next value, and what is in it.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&kind, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // How many bytes the length has.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((kind, value))
    }

    /// What is in the next value, if it is of this kind.
    fn of(&mut self, kind: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The next value as a moment: `YYMMDDHHMMSSZ` of the years 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
    fn moment(&mut self) -> Option<OffsetDateTime> {
        const UTC_TIME: u8 = 0x17;
        const GENERALIZED_TIME: u8 = 0x18;
        let (kind, text) = self.next()?;
        let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = match (kind, text.len()) {
            (UTC_TIME, 12) => {
                let (year, rest) = text.split_at(2);
                let year = year.parse::<i32>().ok()?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            (GENERALIZED_TIME, 14) => {
                let (year, rest) = text.split_at(4);
                (year.parse().ok()?, rest)
            }
            _ => return None,
        };
        let part = |at: usize| rest.get(at..at + 2)?.parse::<u8>().ok();
        let date = Date::from_calendar_date(year, Month::try_from(part(0)?).ok()?, part(2)?).ok()?;
        Some(PrimitiveDateTime::new(date, Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?).assume_utc())
    }
}

/// Believes one certificate and no other, whoever signed it and whatever names it bears: for asking this machine's own listener.
#[derive(Debug)]
pub struct Only {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl Only {
    /// Believes this one.
    #[must_use]
    pub fn this(certificate: CertificateDer<'static>) -> Self {
        Self { certificate, provider: provider() }
    }
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("another certificate is shown than the one in the file".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn certificate(names: &[&str], from: OffsetDateTime, until: OffsetDateTime) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        let mut params = rcgen::CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        (params.not_before, params.not_after) = (from, until);
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        rcgen::CertifiedKey { cert, signing_key }
    }

    #[test]
    fn its_time_is_read_in_both_forms() {
        for (from, until) in [
            (datetime!(1999-12-31 23:59:59 UTC), datetime!(2049-12-31 23:59:59 UTC)),
            (datetime!(2026-02-28 00:00:00 UTC), datetime!(2050-01-01 00:00:00 UTC)),
            (datetime!(2051-06-07 08:09:10 UTC), datetime!(4096-01-01 00:00:00 UTC)),
        ] {
            assert_eq!(validity(certificate(&["claw.example"], from, until).cert.der()), Some((from, until)));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_time() {
        let good = certificate(&["claw.example"], datetime!(2026-01-01 00:00:00 UTC), datetime!(2027-01-01 00:00:00 UTC));
        let bytes = good.cert.der().as_ref();
        for end in 0..bytes.len().min(300) {
            let _ = validity(&CertificateDer::from(bytes.get(..end).unwrap().to_vec()));
        }
        for nonsense in [&b""[..], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x80, 0, 0], &[0x30, 2, 0x30, 0]] {
            assert_eq!(validity(&CertificateDer::from(nonsense.to_vec())), None);
        }
    }

    #[test]
    fn a_wildcard_is_good_for_runtimes_and_not_for_the_dashboard() {
        let (from, until) = (datetime!(2026-01-01 00:00:00 UTC), datetime!(2027-01-01 00:00:00 UTC));
        let both = certificate(&["claw.example", "*.claw.example"], from, until);
        assert!(covers(both.cert.der(), "claw.example") && covers(both.cert.der(), "ada-agent.claw.example"));
        let wild = certificate(&["*.claw.example"], from, until);
        assert!(!covers(wild.cert.der(), "claw.example") && !covers(wild.cert.der(), "a.b.claw.example") && !covers(wild.cert.der(), ""));
    }

    #[tokio::test]
    async fn files_that_do_not_go_together_are_told_by_name_and_without_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let (from, until) = (datetime!(2026-01-01 00:00:00 UTC), datetime!(2027-01-01 00:00:00 UTC));
        let (one, other) = (certificate(&["a.example"], from, until), certificate(&["b.example"], from, until));
        let files = Files { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let said = async || read(&files).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said().await.contains("cert.pem cannot be read"));
        std::fs::write(&files.certificate, one.cert.pem()).unwrap();
        assert!(said().await.contains("key.pem cannot be read"));
        std::fs::write(&files.key, other.signing_key.serialize_pem()).unwrap();
        assert!(said().await.contains("key.pem cannot be used: it is not the key of that certificate"), "{}", said().await);
        std::fs::write(&files.key, "nothing").unwrap();
        assert!(said().await.contains("there is no BEGIN PRIVATE KEY in it"));
        std::fs::write(&files.key, one.signing_key.serialize_pem()).unwrap();
        assert_eq!(said().await, "");
        let before = read(&files).await.unwrap();
        assert_eq!(before.own(), Some(one.cert.der()));
        std::fs::write(&files.certificate, "nothing").unwrap();
        assert!(said().await.contains("there is no BEGIN CERTIFICATE in it"));
        std::fs::write(&files.certificate, other.cert.pem()).unwrap();
        std::fs::write(&files.key, other.signing_key.serialize_pem()).unwrap();
        assert_ne!(read(&files).await.unwrap().digest, before.digest);
    }
}
