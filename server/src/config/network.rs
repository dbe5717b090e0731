//! Addresses by their beginning: `10.0.0.0/8`, `fd00::/8`, or one alone.

use std::{net::IpAddr, str::FromStr};

/// A range of addresses in CIDR notation (RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits of the address count.
    prefix: u8,
}

/// Why a text is no range of addresses.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address and no range of addresses; write 192.0.2.7, 10.0.0.0/8 or fd00::/8")]
pub struct NotANetwork(String);

impl Network {
    /// Whether the address is in it. An IPv4 address that came over an IPv6 socket counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = match (self.address, address.to_canonical()) {
            // The bits that both begin with.
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        same >= u32::from(self.prefix)
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
            None => (text.trim(), None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match prefix.unwrap_or(most) {
            prefix if prefix <= most => Ok(Self { address, prefix }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_what_begins_like_it() {
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("192.0.2.7", "::ffff:192.0.2.7"), "the same over an IPv6 socket");
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe80::1"));
        assert!(holds("0.0.0.0/0", "203.0.113.1") && !holds("0.0.0.0/0", "::1"));
    }

    #[test]
    fn what_is_no_range_is_said() {
        for wrong in ["", "10.0.0.0/33", "fd00::/129", "10.0.0", "localhost", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
