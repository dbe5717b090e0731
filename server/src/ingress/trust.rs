//! The page that tells how to trust the authority of this server, and the authority to take along. Open to everybody, over plain http as well: whoever has
//! no trust yet gets here first. What it gives is public; that it is the right one, the fingerprint shows, which an administrator reads from the server.

use super::{Entry, faults, origins::Origins, router::nothing_here};
use crate::{
    certificate::authority::{Authority, Root},
    clock::Clock,
    config::Config,
};
use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use faults::escape;
use http::{HeaderValue, header};
use std::sync::Arc;
use time::macros::format_description;

/// The page.
pub const PAGE: &str = "/trust";
/// The authority as most devices take it (DER).
const FILE: &str = "/trust/clawloops.crt";
/// The same as text.
const TEXT: &str = "/trust/clawloops.pem";

/// What is told of the authority.
pub struct Trust {
    authority: Arc<Authority>,
    origins: Origins,
}

impl Trust {
    /// None where the certificate is not of ClawLoops' own authority.
    #[must_use]
    pub fn named(config: &Config, clock: Arc<dyn Clock>) -> Option<Self> {
        Some(Self { authority: Authority::named(config, clock)?, origins: Origins::configured(&config.entry) })
    }

    /// The answer at this path, if it is one of these; asked for over http or over https.
    pub async fn answer(&self, path: &str) -> Option<Response> {
        if ![PAGE, FILE, TEXT].contains(&path) {
            return None;
        }
        let root = match self.authority.look().await {
            Ok(Some((root, _))) => root,
            Ok(None) => return Some(nothing_here()),
            Err(error) => return Some(faults::as_json(&error.into_problem())),
        };
        let mut response = match path {
            FILE => kept_as("application/x-x509-ca-cert", "clawloops.crt", root.certificate.to_vec()),
            TEXT => kept_as("application/x-pem-file", "clawloops.pem", root.pem().into_bytes()),
            _ => page(&root, &self.origins),
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(response)
    }
}

/// `GET /trust` and what lies below it, on the dashboard's host.
pub(super) async fn answer(State(entry): State<Arc<Entry>>, request: Request) -> Response {
    match &entry.trust {
        Some(trust) => trust.answer(request.uri().path()).await.unwrap_or_else(nothing_here),
        None => nothing_here(),
    }
}

fn kept_as(kind: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let named = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, named)], bytes).into_response()
}

fn page(root: &Root, origins: &Origins) -> Response {
    let host = escape(origins.host());
    let until = root.until.format(format_description!("[year]-[month]-[day]")).unwrap_or_default();
    let fingerprint = root.fingerprint();
    // Sixteen bytes a line, wherever there is room for so many.
    let (upper, lower) = fingerprint.split_at(fingerprint.len().min(48));
    let what = format!(
        "<h2>1. Compare</h2><p>SHA-256 of the authority <b>ClawLoops at {host}</b>, good until {until}:</p>\
         <p class=\"code\">{upper}<wbr>{lower}</p>\
         <p>Ask whoever runs this server for theirs: it stands in the server's log, under <b>Overview</b> and in what <code>clawloops doctor</code> says. \
         If it is another one, somebody stands between you and the server: stop here.</p>\
         <h2>2. Take it along</h2>\
         <p><a class=\"button\" href=\"{FILE}\">Download the authority</a> <a class=\"button\" href=\"{TEXT}\">The same as PEM</a></p>\
         <h2>3. Tell your device to trust it</h2>"
    );
    let how: String = ways(&host).into_iter().map(|(system, steps)| way(system, &steps)).collect();
    faults::Page::new("Trust this server")
        .wide()
        .say(&format!(
            "This server proves who it is with a certificate of an authority of its own, which your device does not know yet: so the browser warns. \
             Once your device trusts the authority, it does not. The authority is good for {} alone; with it nobody can pretend to be another site.",
            origins.host()
        ))
        .raw(&what)
        .raw(&how)
        .say("Then close the browser and open it again. To take the trust back, remove “ClawLoops at …” in the same place.")
        .link(&origins.dashboard(), "Go to ClawLoops")
        .render()
}

fn way(system: &str, steps: &[String]) -> String {
    let steps: String = steps.iter().map(|step| format!("<li>{step}</li>")).collect();
    format!("<details><summary>{system}</summary><ol>{steps}</ol></details>")
}

/// What to do on each system, in the words that stand there. `host` is text of a page already.
fn ways(host: &str) -> [(&'static str, Vec<String>); 8] {
    let steps = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
    [
        (
            "Windows",
            steps(&[
                "Open <code>clawloops.crt</code> and press <b>Install Certificate</b>.",
                "Choose <b>Current User</b>, then <b>Place all certificates in the following store</b>, then <b>Trusted Root Certification Authorities</b>.",
                "Confirm. Edge, Chrome and Firefox take it from there.",
            ]),
        ),
        (
            "macOS",
            vec![
                "Open <code>clawloops.crt</code>: <b>Keychain Access</b> asks where to; choose <b>login</b>.".to_owned(),
                format!("Find <b>ClawLoops at {host}</b> there and open it."),
                "Under <b>Trust</b> choose <b>Always Trust</b> for “When using this certificate”. Safari, Chrome and Firefox take it from there.".to_owned(),
            ],
        ),
        (
            "iPhone and iPad",
            vec![
                "Open this page in Safari, download the authority and allow the profile.".to_owned(),
                "<b>Settings</b> › <b>General</b> › <b>VPN &amp; Device Management</b>: install it.".to_owned(),
                format!("<b>Settings</b> › <b>General</b> › <b>About</b> › <b>Certificate Trust Settings</b>: switch on <b>ClawLoops at {host}</b>."),
            ],
        ),
        (
            "Android",
            steps(&[
                "Download <code>clawloops.crt</code>.",
                "<b>Settings</b> › <b>Security &amp; privacy</b> › <b>More security settings</b> › <b>Encryption &amp; credentials</b> › <b>Install a certificate</b> › <b>CA certificate</b>, \
                 and choose the file. The names differ a little from maker to maker.",
                "Chrome takes it from there. Firefox: <b>Settings</b> › <b>About Firefox</b>, tap the logo five times, then <b>Settings</b> › <b>Secret Settings</b> › <b>Use third party CA certificates</b>.",
            ]),
        ),
        (
            "Debian and Ubuntu",
            steps(&[
                "For programs such as curl and git: <code>sudo cp clawloops.pem /usr/local/share/ca-certificates/clawloops.crt</code>",
                "<code>sudo update-ca-certificates</code>",
                "Browsers do not look there: go on with Firefox or Chromium below.",
            ]),
        ),
        (
            "Fedora",
            steps(&[
                "<code>sudo cp clawloops.pem /etc/pki/ca-trust/source/anchors/</code>",
                "<code>sudo update-ca-trust</code>",
                "Programs, and the Firefox and Chromium of Fedora, take it from there.",
            ]),
        ),
        (
            "Firefox on any system",
            steps(&[
                "<b>Settings</b> › <b>Privacy &amp; Security</b> › <b>Certificates</b> › <b>View Certificates</b> › <b>Authorities</b> › <b>Import</b>, and choose <code>clawloops.crt</code>.",
                "Tick <b>Trust this CA to identify websites</b>.",
            ]),
        ),
        (
            "Chromium and Chrome on Linux",
            steps(&[
                "<b>Settings</b> › <b>Privacy and security</b> › <b>Security</b> › <b>Manage certificates</b> › <b>Installed by you</b> › <b>Trusted Certificates</b> › <b>Import</b>, \
                 and choose <code>clawloops.crt</code>.",
                "Or in a terminal, with the package libnss3-tools: <code>certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n ClawLoops -i clawloops.pem</code>",
            ]),
        ),
    ]
}
