//! A range of ports: `20000-20099`.

use std::{fmt, ops::RangeInclusive, str::FromStr};

/// Ports from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// Why a text is no range of ports.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no range of ports from 1024 on; write 20000-20099, the lower one first")]
pub struct NotPorts(String);

impl Ports {
    /// Whether the port is one of them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.all().contains(&port)
    }

    /// All of them, in order.
    #[must_use]
    pub fn all(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.last - self.first) + 1
    }
}

impl FromStr for Ports {
    type Err = NotPorts;

    fn from_str(text: &str) -> Result<Self, NotPorts> {
        let wrong = || NotPorts(text.to_owned());
        let (first, last) = text.trim().split_once('-').ok_or_else(wrong)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let (first, last) = (port(first)?, port(last)?);
        // Below stand the machine's own services.
        if first < 1024 || first > last {
            return Err(wrong());
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_in_the_range() {
        let ports: Ports = "20000-20099".parse().unwrap();
        assert!(ports.contains(20_000) && ports.contains(20_099) && !ports.contains(19_999) && !ports.contains(20_100));
        assert_eq!((ports.count(), ports.to_string().as_str()), (100, "20000-20099"));
        assert_eq!(" 1024 - 65535 ".parse::<Ports>().unwrap().count(), 64_512);
        assert_eq!("3000-3000".parse::<Ports>().unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in ["", "20000", "20099-20000", "80-90", "20000-70000", "20000-", "a-b", "-20000-20099", "20000:20099"] {
            assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
        }
    }
}
