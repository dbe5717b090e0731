//! The certificate that this server shows: whether it can be used, until when, and for whom.

use super::{fine, wrong};
use crate::{
    certificate::{self, Pair, authority::Root, source::Source},
    clock::SystemClock,
    config::{Config, Entry, Tls},
    error::chain,
};
use contract::PartHealth;
use rustls::pki_types::CertificateDer;
use std::{net::IpAddr, sync::Arc};
use time::{Duration, OffsetDateTime, macros::format_description};

const NAME: &str = "Certificate";
/// One that ends sooner should have been renewed by whatever renews it.
const SOON: Duration = Duration::days(14);

/// Where certificates come from elsewhere.
const RENEW: &str =
    "Renew it, and put both files where CLAWLOOPS_TLS_CERT and CLAWLOOPS_TLS_KEY name them. A running server takes them up within seconds.";
/// Every device has to be told to trust a new root: that is said so long before.
const ROOT_SOON: Duration = Duration::days(180);

/// Looks at the certificate, where the settings name one; where they name none and browsers come over https, at the proxy that they come through.
pub async fn examine(config: &Config, now: OffsetDateTime) -> Vec<PartHealth> {
    let entry = &config.entry;
    let found = match Source::named(config, Arc::new(SystemClock)) {
        None => return proxy(entry).into_iter().collect(),
        Some(Source::Own(authority)) => match authority.look().await {
            Ok(None) => return vec![fine(NAME, "the first start makes an authority, and a certificate with it")],
            Ok(Some((root, pair))) => {
                let shown = pair.as_ref().and_then(Pair::own).map_or_else(
                    || wrong(NAME, "", "The authority has not made a certificate for this server.", "Start clawloops serve, which does."),
                    |own| judge(own, entry, now),
                );
                return vec![shown, judge_root(&root, entry, now)];
            }
            Err(error) => Err(error),
        },
        Some(source) => source.look().await,
    };
    match found {
        Ok(pair) => pair.as_ref().and_then(Pair::own).map(|own| judge(own, entry, now)).into_iter().collect(),
        Err(crate::Error::Problem(problem)) => vec![PartHealth { name: NAME.to_owned(), detail: String::new(), problem: Some(*problem) }],
        Err(error) => {
            let remedy = match entry.tls {
                Some(Tls::OwnAuthority) => "Look at the folder: it is the server's own, readable by its account alone.",
                None => "Look at CLAWLOOPS_TLS_CERT and CLAWLOOPS_TLS_KEY.",
            };
            vec![wrong(NAME, "", chain(&error), remedy)]
        }
    }
}

/// The root that people's devices trust: until when, and how to know it again.
fn judge_root(root: &Root, entry: &Entry, now: OffsetDateTime) -> PartHealth {
    const NAME: &str = "Authority";
    let how = format!("{}/trust tells people how to trust it", entry.public_url.as_str().trim_end_matches('/'));
    let detail = format!("good until {}, SHA-256 {}; {how}", day(root.until), root.fingerprint());
    if root.until - now < ROOT_SOON {
        let remedy = "A month before, the server makes another one by itself, which every device has to be told to trust. To choose the day yourself, \
                      stop the server, move authority.pem out of the data directory's tls folder, and start it.";
        return wrong(NAME, detail, format!("The authority ends on {}.", day(root.until)), remedy);
    }
    fine(NAME, detail)
}

/// Whoever shakes hands in this server's place stands between it and all of its clients.
fn proxy(entry: &Entry) -> Option<PartHealth> {
    const NAME: &str = "Proxy";
    if entry.public_url.scheme() != "https" {
        return None;
    }
    if entry.trusted_proxies.is_empty() {
        return Some(wrong(
            NAME,
            "",
            "Https ends at a proxy in front that is not known here, so all people count as one client and share its tries at passwords.",
            "Let CLAWLOOPS_TRUSTED_PROXIES name its address, or serve https here with CLAWLOOPS_TLS_CERT and CLAWLOOPS_TLS_KEY.",
        ));
    }
    Some(fine(NAME, "its word on the client's address is taken"))
}

fn judge(own: &CertificateDer<'_>, entry: &Entry, now: OffsetDateTime) -> PartHealth {
    let renew = match entry.tls {
        Some(Tls::OwnAuthority) => "The server makes another one a month before. Start clawloops serve, or read in its log why it cannot.",
        None => RENEW,
    };
    let host = entry.public_url.host_str().unwrap_or_default();
    // Any label stands for all of them.
    let mut names = vec![(host.trim_matches(['[', ']']).to_owned(), host.to_owned())];
    if entry.runtime_ports.is_none() && names.iter().all(|(name, _)| name.parse::<IpAddr>().is_err()) {
        names.push((format!("a-runtime.{host}"), format!("*.{host}")));
    }
    let whom = |names: &[(String, String)]| names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" and ");
    if entry.public_url.scheme() != "https" {
        let remedy = "Let CLAWLOOPS_PUBLIC_URL begin with https://.";
        return wrong(NAME, "", "There is a certificate, but the public address is a plain http one.", remedy);
    }
    let Some((from, until)) = certificate::validity(own) else {
        return wrong(NAME, "", "It does not say until when it is good.", renew);
    };
    let detail = format!("good until {} for {}", day(until), whom(&names));
    if until <= now {
        return wrong(NAME, detail, format!("It ended on {}; browsers refuse it.", day(until)), renew);
    }
    if from > now {
        return wrong(
            NAME,
            detail,
            format!("It begins on {}; browsers refuse it until then.", day(from)),
            "Look at this machine's clock, too.",
        );
    }
    let missing: Vec<_> = names.iter().filter(|(probe, _)| !certificate::covers(own, probe)).cloned().collect();
    if !missing.is_empty() {
        let remedy = match names.len() {
            1 => format!("Get one for {}.", whom(&names)),
            _ => format!("Get one for {}: runtimes are at names before the dashboard's.", whom(&names)),
        };
        return wrong(NAME, detail, format!("It is not for {}.", whom(&missing)), remedy);
    }
    if until - now < SOON {
        return wrong(NAME, detail, format!("It ends on {}.", day(until)), renew);
    }
    fine(NAME, detail)
}

fn day(moment: OffsetDateTime) -> String {
    moment.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).unwrap_or_else(|_| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{certificate::authority::Authority, clock::HandClock};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-28 22:00 UTC);

    fn found(names: &[&str], from: OffsetDateTime, until: OffsetDateTime) -> PartHealth {
        let mut params = rcgen::CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        (params.not_before, params.not_after) = (from, until);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let mut entry = Config::for_tests().entry;
        entry.public_url = "https://claw.example".parse().unwrap();
        judge(certificate.der(), &entry, NOW)
    }

    #[test]
    fn whoever_is_not_covered_and_when_it_ends_is_said() {
        let both = ["claw.example", "*.claw.example"];
        let (before, after) = (NOW - Duration::days(1), NOW + Duration::days(90));
        let good = found(&both, before, after);
        assert_eq!((good.detail.as_str(), good.problem), ("good until 2027-02-26 22:00 UTC for claw.example and *.claw.example", None));
        let said = |names: &[&str], from, until| {
            let problem = found(names, from, until).problem.unwrap();
            assert!(problem.remedy.is_some());
            problem.message
        };
        assert_eq!(said(&["claw.example"], before, after), "It is not for *.claw.example.");
        assert_eq!(said(&["*.claw.example"], before, after), "It is not for claw.example.");
        assert_eq!(said(&both, before, NOW), "It ended on 2026-11-28 22:00 UTC; browsers refuse it.");
        assert!(said(&both, after, after + Duration::DAY).starts_with("It begins on 2027-02-26"));
        assert_eq!(said(&both, before, NOW + Duration::days(13)), "It ends on 2026-12-11 22:00 UTC.");
    }

    #[tokio::test]
    async fn without_one_there_is_nothing_to_say_and_one_that_is_missing_is_said() {
        let mut config = Config::for_tests();
        let examine = async |config: &Config| examine(config, NOW).await.into_iter().next();
        assert_eq!(examine(&config).await, None);
        config.entry.public_url = "https://claw.example".parse().unwrap();
        assert!(examine(&config).await.unwrap().problem.unwrap().message.contains("share its tries"));
        config.entry.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        assert_eq!(examine(&config).await.unwrap().problem, None);
        (config.entry.tls_cert, config.entry.tls_key) = (Some("/nowhere/cert.pem".into()), Some("/nowhere/key.pem".into()));
        let problem = examine(&config).await.unwrap().problem.unwrap();
        assert!(problem.message.contains("/nowhere/cert.pem cannot be read") && problem.remedy.is_some());
    }

    #[tokio::test]
    async fn an_authority_of_our_own_is_told_with_its_fingerprint_and_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests();
        config.data.data_dir = folder.path().to_owned();
        (config.entry.public_url, config.entry.tls) = ("https://192.0.2.7".parse().unwrap(), Some(Tls::OwnAuthority));
        config.entry.runtime_ports = Some("20000-20009".parse().unwrap());
        assert_eq!(
            examine(&config, NOW).await.into_iter().map(|part| part.problem).collect::<Vec<_>>(),
            [None],
            "nothing is made by looking"
        );
        let authority = Authority::named(&config, HandClock::at(NOW)).unwrap();
        authority.pair().await.unwrap();
        let (root, _) = authority.look().await.unwrap().unwrap();
        let parts = examine(&config, NOW).await;
        assert_eq!(parts[0].detail, "good until 2027-02-26 22:00 UTC for 192.0.2.7");
        assert!(
            parts[1].detail.contains(&root.fingerprint()) && parts[1].detail.contains("https://192.0.2.7/trust"),
            "{}",
            parts[1].detail
        );
        assert!(parts.iter().all(|part| part.problem.is_none()), "{parts:?}");
    }

    #[test]
    fn a_root_that_ends_is_said_half_a_year_before() {
        let mut entry = Config::for_tests().entry;
        entry.public_url = "https://192.0.2.7".parse().unwrap();
        let root = |left| Root { certificate: Vec::new().into(), until: NOW + left };
        assert_eq!(judge_root(&root(ROOT_SOON), &entry, NOW).problem, None);
        assert!(judge_root(&root(ROOT_SOON - Duration::DAY), &entry, NOW).problem.unwrap().remedy.is_some());
    }
}
