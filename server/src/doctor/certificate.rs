//! The certificate that this server shows: whether it can be used, until when, and for whom.

use super::{fine, wrong};
use crate::{
    certificate::{self, Files},
    config::Entry,
    error::chain,
};
use contract::PartHealth;
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime, macros::format_description};

const NAME: &str = "Certificate";
/// One that ends sooner should have been renewed by whatever renews it.
const SOON: Duration = Duration::days(14);

/// Looks at the certificate, where the settings name one; where they name none and browsers come over https, at the proxy that they come through.
pub async fn examine(entry: &Entry, now: OffsetDateTime) -> Option<PartHealth> {
    let Some(files) = Files::named(entry) else { return proxy(entry) };
    let pair = match certificate::read(&files).await {
        Ok(pair) => pair,
        Err(crate::Error::Problem(problem)) => {
            return Some(PartHealth { name: NAME.to_owned(), detail: String::new(), problem: Some(*problem) });
        }
        Err(error) => return Some(wrong(NAME, "", chain(&error), "Look at CLAWLOOPS_TLS_CERT and CLAWLOOPS_TLS_KEY.")),
    };
    pair.own().map(|own| judge(own, entry, now))
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
    let renew = "Renew it, and put both files where CLAWLOOPS_TLS_CERT and CLAWLOOPS_TLS_KEY name them. A running server takes them up within seconds.";
    let host = entry.public_url.host_str().unwrap_or_default();
    if entry.public_url.scheme() != "https" {
        let remedy = "Let CLAWLOOPS_PUBLIC_URL begin with https://.";
        return wrong(NAME, "", "There is a certificate, but the public address is a plain http one.", remedy);
    }
    let Some((from, until)) = certificate::validity(own) else {
        return wrong(NAME, "", "It does not say until when it is good.", renew);
    };
    let detail = format!("good until {} for {host} and *.{host}", day(until));
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
    // Any label stands for all of them.
    let missing: Vec<String> = [(host.to_owned(), host.to_owned()), (format!("a-runtime.{host}"), format!("*.{host}"))]
        .into_iter()
        .filter(|(probe, _)| !certificate::covers(own, probe))
        .map(|(_, name)| name)
        .collect();
    if !missing.is_empty() {
        let whom = missing.join(" and ");
        return wrong(
            NAME,
            detail,
            format!("It is not for {whom}."),
            format!("Get one for {host} and *.{host}: runtimes are at names before the dashboard's."),
        );
    }
    if until - now < SOON {
        return wrong(NAME, detail, format!("It ends on {}.", day(until)), renew);
    }
    fine(NAME, detail)
}

pub(super) fn day(moment: OffsetDateTime) -> String {
    moment.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).unwrap_or_else(|_| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
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
        let mut entry = Config::for_tests().entry;
        assert_eq!(examine(&entry, NOW).await, None);
        entry.public_url = "https://claw.example".parse().unwrap();
        assert!(examine(&entry, NOW).await.unwrap().problem.unwrap().message.contains("share its tries"));
        entry.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        assert_eq!(examine(&entry, NOW).await.unwrap().problem, None);
        (entry.tls_cert, entry.tls_key) = (Some("/nowhere/cert.pem".into()), Some("/nowhere/key.pem".into()));
        let problem = examine(&entry, NOW).await.unwrap().problem.unwrap();
        assert!(problem.message.contains("/nowhere/cert.pem cannot be read") && problem.remedy.is_some());
    }
}
