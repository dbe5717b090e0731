//! The addresses of the pages, in one place.

use contract::{PersonId, RuntimeId};

/// The person's home.
pub const HOME: &str = "/";
/// Where one signs in.
pub const SIGN_IN: &str = "/sign-in";
/// One's runtimes.
pub const RUNTIMES: &str = "/runtimes";
/// The catalog and one's keys.
pub const MODELS: &str = "/models";
/// One's usage.
pub const USAGE: &str = "/usage";
/// Password, sessions, profile.
pub const SECURITY: &str = "/security";
/// The platform at a glance.
pub const ADMIN: &str = "/admin";
/// People and invitations.
pub const ADMIN_PEOPLE: &str = "/admin/people";
/// Groups of persons.
pub const ADMIN_GROUPS: &str = "/admin/groups";
/// Everyone's runtimes.
pub const ADMIN_RUNTIMES: &str = "/admin/runtimes";
/// Profiles of runtimes.
pub const ADMIN_PROFILES: &str = "/admin/profiles";
/// Providers and the catalog.
pub const ADMIN_MODELS: &str = "/admin/models";
/// Every limit.
pub const ADMIN_BUDGETS: &str = "/admin/budgets";
/// Requests for more of a limit.
pub const ADMIN_REQUESTS: &str = "/admin/requests";
/// Everyone's usage.
pub const ADMIN_USAGE: &str = "/admin/usage";
/// The audit log.
pub const ADMIN_AUDIT: &str = "/admin/audit";

/// One runtime.
pub fn runtime(id: RuntimeId) -> String {
    format!("/runtimes/{id}")
}

/// One runtime, opened.
pub fn open(id: RuntimeId) -> String {
    format!("/runtimes/{id}/open")
}

/// Somebody else's runtime that is shared, opened.
pub fn shared(id: RuntimeId) -> String {
    format!("/shared/{id}")
}

/// A runtime's whole log, as a file.
pub fn log(id: RuntimeId) -> String {
    format!("/runtimes/{id}/log")
}

/// The way into a runtime's own host, for the iframe.
pub fn entrance(id: RuntimeId) -> String {
    format!("/open/{id}")
}

/// One person, for administrators.
pub fn person(id: PersonId) -> String {
    format!("/admin/people/{id}")
}

/// Whether a place in the frame is where the page at `path` belongs: itself, or a place above it. Home and the overview have nothing below.
pub fn leads(place: &str, path: &str) -> bool {
    let below = || path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'));
    path == place || (place != HOME && place != ADMIN && below())
}

/// Signing in, and then on to `to`.
pub fn sign_in(to: &str) -> String {
    if to == HOME { SIGN_IN.to_owned() } else { format!("{SIGN_IN}?to={}", escape(to)) }
}

/// Where to go after signing in: `to` when it is a page of ours, home otherwise.
#[cfg(any(feature = "ssr", test))]
pub fn after_sign_in(to: Option<&str>) -> &str {
    match to {
        Some(to)
            if to.starts_with('/')
                && !to.starts_with("//")
                && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
                && !to.starts_with(SIGN_IN) =>
        {
            to
        }
        Some(_) | None => HOME,
    }
}

/// Percent-encodes what may not stand in a query.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_pages_of_ours_only() {
        for (to, then) in [
            (Some("/usage?days=7"), "/usage?days=7"),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            // Browsers take these out of an address, or read them as a slash.
            (Some("/\t/evil.example"), "/"),
            (Some("/\r\n/evil.example"), "/"),
            (Some("/ /evil.example"), "/"),
            (Some("/a\\..\\evil.example"), "/"),
            (Some("/\u{a0}/evil.example"), "/"),
            (Some("/\u{ff0f}evil.example"), "/"),
            (Some("/\u{7f}"), "/"),
            (Some("https://evil.example"), "/"),
            (Some("/sign-in"), "/"),
            (None, "/"),
        ] {
            assert_eq!(after_sign_in(to), then, "{to:?}");
        }
        assert_eq!(sign_in("/usage?days=7"), "/sign-in?to=/usage%3Fdays%3D7");
        assert_eq!(sign_in("/"), "/sign-in");
    }

    #[test]
    fn a_place_knows_the_pages_below_it() {
        for (place, path, leads_there) in [
            (RUNTIMES, "/runtimes", true),
            (RUNTIMES, "/runtimes/7", true),
            (RUNTIMES, "/runtimes-of-others", false),
            (HOME, "/", true),
            (HOME, "/usage", false),
            (ADMIN, "/admin/people", false),
            (ADMIN_PEOPLE, "/admin/people/7", true),
        ] {
            assert_eq!(leads(place, path), leads_there, "{place} {path}");
        }
    }
}
