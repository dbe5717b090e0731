//! The certificates that this server gets by itself: whether there is one, until when it is good, and what went wrong last.

use super::{certificate::day, fine, wrong};
use crate::{
    certificate::{self, Files},
    config::Config,
};
use contract::PartHealth;
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

const NAME: &str = "Certificate";
/// Renewed when a third of its life is left, which is longer with every authority that people use.
const SOON: Duration = Duration::days(1);
const REMEDY: &str = "It is tried again by itself, less and less often. Every name must lead to this server in DNS, and port 80 to CLAWLOOPS_HTTP_LISTEN, or \
                      CLAWLOOPS_ACME_DNS_HOOK must write DNS records.";

/// Looks at what is kept for the dashboard, and at what was written down when orders came to nothing.
pub(super) async fn examine(config: &Config, now: OffsetDateTime) -> PartHealth {
    let folder = certificate::folder(&config.data.data_dir);
    let host = config.entry.public_url.host_str().unwrap_or_default();
    let noted = tokio::fs::read(folder.join(certificate::TROUBLES)).await.unwrap_or_default();
    let troubles: BTreeMap<String, String> = serde_json::from_slice(&noted).unwrap_or_default();
    let pair = certificate::read(&Files::kept(&folder, host)).await.ok();
    let until = pair.as_ref().and_then(|pair| pair.own()).and_then(certificate::validity).map(|(_, until)| until);
    let detail = match until {
        Some(until) => format!("got by ACME, good until {} for {host}", day(until)),
        None => "got by ACME".to_owned(),
    };
    if let Some((name, said)) = troubles.first_key_value() {
        return wrong(NAME, detail, format!("No certificate could be got for {name}: {said}."), REMEDY);
    }
    match until {
        None => wrong(
            NAME,
            detail,
            format!("There is none for {host} yet."),
            "A running server orders it within seconds. Start it, or read its log.",
        ),
        Some(until) if until <= now => wrong(NAME, detail, format!("It ended on {}; browsers refuse it.", day(until)), REMEDY),
        Some(until) if until - now < SOON => wrong(NAME, detail, format!("It ends on {}.", day(until)), REMEDY),
        Some(_) => fine(NAME, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-28 22:00 UTC);

    fn kept(config: &Config, until: OffsetDateTime) {
        let folder = certificate::folder(&config.data.data_dir);
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["claw.example".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (NOW - Duration::days(60), until);
        let key = rcgen::KeyPair::generate().unwrap();
        let text = key.serialize_pem() + &params.self_signed(&key).unwrap().pem();
        std::fs::write(Files::kept(&folder, "claw.example").certificate, text).unwrap();
    }

    #[tokio::test]
    async fn what_is_missing_and_why_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests();
        config.data.data_dir = folder.path().to_owned();
        config.entry.public_url = "https://claw.example".parse().unwrap();
        let said = async |config: &Config| examine(config, NOW).await.problem.map(|problem| problem.message).unwrap_or_default();
        assert_eq!(said(&config).await, "There is none for claw.example yet.");
        kept(&config, NOW + Duration::days(30));
        assert_eq!(said(&config).await, "");
        assert_eq!(examine(&config, NOW).await.detail, "got by ACME, good until 2026-12-28 22:00 UTC for claw.example");
        kept(&config, NOW + Duration::hours(3));
        assert_eq!(said(&config).await, "It ends on 2026-11-29 01:00 UTC.");
        kept(&config, NOW);
        assert_eq!(said(&config).await, "It ended on 2026-11-28 22:00 UTC; browsers refuse it.");
        let troubles = r#"{"ada.claw.example": "the order was refused"}"#;
        std::fs::write(certificate::folder(folder.path()).join(certificate::TROUBLES), troubles).unwrap();
        assert_eq!(said(&config).await, "No certificate could be got for ada.claw.example: the order was refused.");
    }
}
