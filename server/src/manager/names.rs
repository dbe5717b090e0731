//! Names on the host: computed, never remembered, so that a lost answer is found again by its name.

use crate::runtime::token::hex;
use contract::RuntimeId;
use sha2::{Digest as _, Sha256};
use std::net::Ipv4Addr;

/// Label of everything of ours: which installation it belongs to.
pub const LABEL_INSTANCE: &str = "org.clawloops.instance";
/// Label of containers and networks: which runtime.
pub const LABEL_RUNTIME: &str = "org.clawloops.runtime";
/// Label of containers: which revision.
pub const LABEL_REVISION: &str = "org.clawloops.revision";
/// Label of containers: the hash of what they were made from.
pub const LABEL_SPEC: &str = "org.clawloops.spec";
/// Label of volumes: which workspace.
pub const LABEL_WORKSPACE: &str = "org.clawloops.workspace";

/// How many networks the address plan holds.
const NETWORKS: u32 = 8192;

/// Names of one installation.
#[derive(Clone, Debug)]
pub struct Names {
    instance: String,
    mark: String,
}

impl Names {
    /// Names of the installation called `instance`.
    #[must_use]
    pub fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned(), mark: hex(&Sha256::digest(instance.as_bytes())[..2]) }
    }

    /// The installation's name, the value of [`LABEL_INSTANCE`].
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Name of a runtime's container, and of its network.
    #[must_use]
    pub fn runtime(&self, runtime_id: RuntimeId) -> String {
        format!("{}-{}", self.instance, runtime_id.0.simple())
    }

    /// Name of a new workspace. It outlives its runtime, so the row remembers it.
    #[must_use]
    pub fn workspace(&self, runtime_id: RuntimeId) -> String {
        format!("{}-workspace-{}", self.instance, runtime_id.0.simple())
    }

    /// What the names of all bridges of this installation begin with: one firewall rule holds them all.
    #[must_use]
    pub fn bridge_prefix(&self) -> String {
        format!("cl{}", self.mark)
    }

    /// Name of a runtime's bridge, at most 15 characters as Linux wants. The last digits of the id are its random ones.
    #[must_use]
    pub fn bridge(&self, runtime_id: RuntimeId) -> String {
        let id = runtime_id.0.simple().to_string();
        format!("{}{}", self.bridge_prefix(), &id[id.len() - 8..])
    }

    /// Name of this installation's chain of firewall rules.
    #[must_use]
    pub fn chain(&self) -> String {
        format!("CLAWLOOPS-{}", self.mark)
    }
}

/// The host's address in the `attempt`th network that a runtime may take: a /29 of 10.213.0.0/16, found from the id so that a runtime keeps it.
///
/// Docker's own plan ends after about thirty networks, so this one is ours.
#[must_use]
pub fn gateway(runtime_id: RuntimeId, attempt: u32) -> Ipv4Addr {
    let seed = u32::try_from(runtime_id.0.as_u128() & 0xffff_ffff).unwrap_or(0);
    let slot = seed.wrapping_add(attempt) % NETWORKS;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 213, 0, 0)) + slot * 8 + 1)
}

/// The network around a [`gateway`], as `10.213.4.8/29`.
#[must_use]
pub fn subnet(gateway: Ipv4Addr) -> String {
    format!("{}/29", Ipv4Addr::from(u32::from(gateway) & !7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_their_installation_and_short_enough() {
        let id = RuntimeId(uuid::Uuid::now_v7());
        let (ours, theirs) = (Names::new("clawloops"), Names::new("clawloops-test"));
        assert_eq!(ours.bridge(id).len(), 14);
        assert!(ours.bridge(id).starts_with(&ours.bridge_prefix()));
        assert_ne!(ours.bridge_prefix(), theirs.bridge_prefix());
        assert_ne!(ours.runtime(id), theirs.runtime(id));
        assert!(ours.chain().len() < 29);
    }

    #[test]
    fn networks_stay_in_their_plan_and_move_on_when_one_is_taken() {
        let id = RuntimeId(uuid::Uuid::from_u128(u128::MAX));
        for attempt in 0..NETWORKS {
            let gateway = gateway(id, attempt);
            assert_eq!(gateway.octets()[..2], [10, 213]);
            assert_eq!(gateway.octets()[3] % 8, 1);
        }
        assert_ne!(gateway(id, 0), gateway(id, 1));
        assert_eq!(subnet(Ipv4Addr::new(10, 213, 4, 9)), "10.213.4.8/29");
    }
}
