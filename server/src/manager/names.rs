//! Names on the host: computed, never remembered, so that a lost answer is found again by its name.

use crate::runtime::token::hex;
use contract::RuntimeId;
use sha2::{Digest as _, Sha256};

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

    /// Whether a name is one that [`Names::workspace`] gives to some runtime of this installation.
    #[must_use]
    pub fn is_workspace(&self, name: &str) -> bool {
        let id = name.rsplit('-').next().and_then(|id| uuid::Uuid::try_parse(id).ok());
        id.is_some_and(|id| self.workspace(RuntimeId(id)) == name)
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
        assert!(ours.is_workspace(&ours.workspace(id)));
        let workspace = ours.workspace(id);
        for other in [
            theirs.workspace(id),
            ours.runtime(id),
            workspace.to_uppercase(),
            format!("{workspace}/.."),
            format!("/{workspace}"),
            String::new(),
        ] {
            assert!(!ours.is_workspace(&other), "{other}");
        }
    }
}
