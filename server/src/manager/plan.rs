//! The address plan: which network a runtime takes, and which ones this machine already leads elsewhere.
//!
//! Docker's own plan ends after about thirty networks, so this one is ours. Docker refuses what overlaps another network of its own, and only that: a
//! network of the machine's (a company's, a VPN's) would be taken and lost to everybody on it, so the machine's routes are read first.

use contract::RuntimeId;
use std::net::Ipv4Addr;

/// Where runtimes' networks may lie, the second for machines that lead the first elsewhere: ranges of 65 536 addresses. The second is kept for
/// measurements by RFC 2544 and leads nowhere on the internet.
const RANGES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 213, 0, 0), Ipv4Addr::new(198, 18, 0, 0)];
/// How many networks of eight addresses a range holds.
const NETWORKS: u32 = 8192;
/// How many places are tried before giving up.
const TRIES: usize = 256;
/// A route with a shorter prefix is the way out and not somebody's network: the default route, and the halves of
/// it that some VPNs set.
const WAY_OUT: u32 = 8;

/// Addresses that this machine leads somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    network: u32,
    mask: u32,
}

/// What this machine leads somewhere, without its way out. Empty where the kernel does not tell.
#[must_use]
pub fn routed() -> Vec<Routed> {
    read(&std::fs::read_to_string("/proc/net/route").unwrap_or_default())
}

/// Reads the kernel's table: interface, destination, gateway, flags, …, mask as the eighth, addresses in the machine's own byte order.
fn read(table: &str) -> Vec<Routed> {
    let address = |text: &str| u32::from_str_radix(text, 16).ok().map(|raw| u32::from_be_bytes(raw.to_ne_bytes()));
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let route = Routed { network: address(fields.get(1)?)?, mask: address(fields.get(7)?)? };
        (route.mask.leading_ones() >= WAY_OUT).then_some(route)
    };
    table.lines().skip(1).filter_map(route).collect()
}

/// The host's address in each network that a runtime may take, best first, without those that overlap what is `routed`. Found from the id, so that a
/// runtime keeps its network while nobody else takes it.
pub fn gateways(runtime_id: RuntimeId, routed: &[Routed]) -> impl Iterator<Item = Ipv4Addr> {
    let seed = u32::try_from(runtime_id.0.as_u128() & 0xffff_ffff).unwrap_or(0);
    let all = RANGES.into_iter().flat_map(move |range| {
        (0..NETWORKS).map(move |attempt| Ipv4Addr::from(u32::from(range) + seed.wrapping_add(attempt) % NETWORKS * 8 + 1))
    });
    all.filter(|gateway| !routed.iter().any(|route| overlaps(*route, *gateway))).take(TRIES)
}

fn overlaps(route: Routed, gateway: Ipv4Addr) -> bool {
    // Whichever is the wider one holds the other wholly.
    let mask = route.mask & !7;
    u32::from(gateway) & mask == route.network & mask
}

/// The network around a gateway, as `10.213.4.8/29`.
#[must_use]
pub fn subnet(gateway: Ipv4Addr) -> String {
    format!("{}/29", Ipv4Addr::from(u32::from(gateway) & !7))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    /// A line as the kernel writes it on this machine.
    fn line(network: [u8; 4], mask: [u8; 4]) -> String {
        let raw = |bytes| format!("{:08X}", u32::from_ne_bytes(bytes));
        format!("eth0\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0\n", raw(network), raw(mask))
    }

    fn first(routes: &str) -> Option<Ipv4Addr> {
        gateways(RuntimeId(uuid::Uuid::from_u128(5)), &read(&format!("{HEAD}{routes}"))).next()
    }

    #[test]
    fn networks_stay_in_their_plan_and_move_on_when_one_is_taken() {
        let id = RuntimeId(uuid::Uuid::from_u128(u128::MAX));
        let places: Vec<_> = gateways(id, &[]).collect();
        assert_eq!(places.len(), TRIES);
        assert!(places.iter().all(|place| place.octets()[..2] == [10, 213] && place.octets()[3] % 8 == 1));
        assert_eq!(places[0], Ipv4Addr::new(10, 213, 255, 249));
        assert_eq!(places[1], Ipv4Addr::new(10, 213, 0, 1), "round the end");
        assert_eq!(subnet(Ipv4Addr::new(10, 213, 4, 9)), "10.213.4.8/29");
    }

    #[test]
    fn what_the_machine_leads_elsewhere_is_left_alone() {
        let wished = Ipv4Addr::new(10, 213, 0, 41);
        let way_out = line([0; 4], [0; 4]) + &line([0; 4], [128, 0, 0, 0]) + &line([128, 0, 0, 0], [128, 0, 0, 0]);
        for free in ["", &way_out, &line([10, 214, 0, 0], [255, 255, 0, 0]), &line([10, 213, 0, 48], [255, 255, 255, 248]), "nonsense\n"] {
            assert_eq!(first(free), Some(wished), "{free}");
        }
        // One host in it, the network itself, a wider one, the whole range.
        assert_eq!(first(&line([10, 213, 0, 46], [255, 255, 255, 255])), Some(Ipv4Addr::new(10, 213, 0, 49)));
        assert_eq!(first(&line([10, 213, 0, 40], [255, 255, 255, 248])), Some(Ipv4Addr::new(10, 213, 0, 49)));
        assert_eq!(first(&line([10, 213, 0, 0], [255, 255, 255, 0])), Some(Ipv4Addr::new(10, 213, 1, 1)));
        let company = line([10, 0, 0, 0], [255, 0, 0, 0]);
        assert_eq!(first(&company), Some(Ipv4Addr::new(198, 18, 0, 41)), "the second range");
        assert_eq!(first(&(company + &line([198, 18, 0, 0], [255, 254, 0, 0]))), None);
    }
}
