//! What people type: addresses, names, passwords. Read strictly, refused with the field's name and a plain reason.

use crate::{Error, Result};
use contract::{Code, Problem};

/// Fewest characters of a password.
pub const PASSWORD_MIN: usize = 12;
/// Most characters of a password: enough for any passphrase, and no work for a flood.
pub const PASSWORD_MAX: usize = 512;

fn invalid(field: &str, message: impl Into<String>) -> Error {
    Problem::new(Code::Invalid, message).field(field).into()
}

/// An e-mail address without the blanks around it.
///
/// Only its shape is looked at: whether it exists, only a mail could tell.
///
/// # Errors
/// `Invalid`, field `email`.
pub fn email(text: &str) -> Result<String> {
    let text = text.trim();
    let shaped = text.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
    });
    // Control characters and blanks would travel into headers: the address is also the identity that OpenClaw is told.
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, ',' | ';' | '<' | '>' | '"' | '(' | ')' | '\\'));
    if !shaped || !plain || text.len() > 254 {
        return Err(invalid("email", "This is not an e-mail address. Write it like ada@example.com."));
    }
    Ok(text.to_owned())
}

/// A person's name without the blanks around it.
///
/// # Errors
/// `Invalid`, field `name`.
pub fn name(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(invalid("name", "The name is missing."));
    }
    if text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err(invalid("name", "The name is longer than 100 characters, or has characters that cannot be shown."));
    }
    Ok(text.to_owned())
}

/// Whether a new password will do for the person with this address. Length counts, not kinds of characters.
///
/// # Errors
/// `Invalid`, with the given field name.
pub fn password(field: &str, text: &str, email: &str) -> Result<()> {
    let length = text.chars().count();
    if length < PASSWORD_MIN {
        return Err(invalid(
            field,
            format!("The password has {length} characters. Use at least {PASSWORD_MIN}; three or four words will do."),
        ));
    }
    if length > PASSWORD_MAX {
        return Err(invalid(field, format!("The password is longer than {PASSWORD_MAX} characters.")));
    }
    if text.trim().eq_ignore_ascii_case(email.trim()) {
        return Err(invalid(field, "The password must not be your e-mail address."));
    }
    let mut characters = text.chars();
    let first = characters.next();
    if characters.all(|c| Some(c) == first) {
        return Err(invalid(field, "The password is one character again and again. Use three or four words."));
    }
    Ok(())
}

/// An IANA time zone name, as far as its shape tells; the database knows whether it exists.
///
/// # Errors
/// `Invalid`, field `time_zone`.
pub fn time_zone(text: &str) -> Result<String> {
    let text = text.trim();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+'));
    if text.is_empty() || text.len() > 64 || !plain {
        return Err(unknown_time_zone());
    }
    Ok(text.to_owned())
}

/// What is said of a time zone that nobody knows.
#[must_use]
pub fn unknown_time_zone() -> Error {
    invalid("time_zone", "This time zone is not known. Write it like Europe/Berlin.")
}

/// How long an invitation lives, in hours.
///
/// # Errors
/// `Invalid`, field `hours`.
pub fn hours(hours: u16) -> Result<time::Duration> {
    if hours == 0 || hours > 24 * 30 {
        return Err(invalid("hours", "An invitation lives between one hour and 30 days."));
    }
    Ok(time::Duration::hours(hours.into()))
}

/// How the browser names itself, cut to what is worth keeping.
#[must_use]
pub fn agent(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<impl std::fmt::Debug>) -> (String, String) {
        match result {
            Err(Error::Problem(problem)) => (problem.field.unwrap_or_default(), problem.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_are_read_by_their_shape() {
        for good in ["ada@example.com", " a.b+c@x ", "ADA@EXAMPLE.COM"] {
            assert_eq!(email(good).unwrap(), good.trim());
        }
        for bad in ["", "ada", "@x", "a@", "a@b@c", "a b@c", "a@b\r\nX-Forwarded-User: root", "a,b@c", "ä@x", "a@.x", "a@x."] {
            assert_eq!(message(email(bad)).0, "email", "{bad:?}");
        }
        assert!(email(&format!("{}@x", "a".repeat(254))).is_err());
    }

    #[test]
    fn passwords_are_long_and_not_the_address() {
        password("password", "three plain words", "ada@example.com").unwrap();
        password("password", "äöüäöüäöüäöü", "ada@example.com").unwrap();
        for bad in ["", "elevenchars", "ADA@example.com", "aaaaaaaaaaaaaaaa"] {
            assert_eq!(message(password("new", bad, "ada@example.com")).0, "new", "{bad:?}");
        }
        assert!(message(password("new", "short", "a@b")).1.contains("5 characters"));
        assert!(password("new", &"ab".repeat(257), "a@b").is_err());
    }

    #[test]
    fn names_and_hours_have_bounds() {
        assert_eq!(name("  Ada Lovelace ").unwrap(), "Ada Lovelace");
        for bad in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert_eq!(message(name(bad)).0, "name");
        }
        assert!(hours(0).is_err() && hours(721).is_err());
        assert_eq!(hours(72).unwrap(), time::Duration::days(3));
        assert_eq!(time_zone("Europe/Berlin").unwrap(), "Europe/Berlin");
        assert!(time_zone("'; drop table person").is_err());
    }
}
