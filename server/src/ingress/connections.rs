//! The registry of what is open towards runtimes: streams and WebSockets, by session, person and runtime, so that a revocation cuts them.
//!
//! Nothing may slip through between the check of a cookie and the entry into the registry. So every cut counts the epoch on: whoever entered reads
//! the epoch again and, when it moved, checks anew. [`Connections::epoch`] is taken before the check.

use crate::data::ticket::Visit;
use contract::{PersonId, RuntimeId, SessionId};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// Everything open towards runtimes.
#[derive(Default)]
pub struct Connections {
    open: Mutex<HashMap<u64, Held>>,
    next: AtomicU64,
    epoch: AtomicU64,
}

/// One open connection, as the registry knows it.
#[derive(Clone)]
pub struct Held {
    /// Who holds it.
    pub visit: Visit,
    /// The hash of the cookie it came with.
    pub token_hash: [u8; 32],
    /// First label of the host it came to.
    pub label: String,
    /// Where it leads.
    pub address: SocketAddr,
    cut: CancellationToken,
}

/// Keeps a connection in the registry until dropped.
pub struct Hold {
    id: u64,
    connections: Arc<Connections>,
    cut: CancellationToken,
}

impl Connections {
    /// How many cuts there were so far.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Enters a connection.
    #[must_use]
    pub fn hold(self: &Arc<Self>, visit: Visit, token_hash: [u8; 32], label: &str, address: SocketAddr) -> Hold {
        let cut = CancellationToken::new();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Held { visit, token_hash, label: label.to_owned(), address, cut: cut.clone() });
        Hold { id, connections: Arc::clone(self), cut }
    }

    /// Cuts what a session holds.
    pub fn cut_session(&self, session_id: SessionId) {
        self.cut(|held| held.visit.session_id == session_id);
    }

    /// Cuts what a person holds.
    pub fn cut_person(&self, person_id: PersonId) {
        self.cut(|held| held.visit.person_id == person_id);
    }

    /// Counts the epoch on without a cut: caches were emptied, anything may have changed.
    pub fn renew(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// What is open towards this runtime, or at all.
    #[must_use]
    pub fn held(&self, runtime_id: Option<RuntimeId>) -> Vec<Held> {
        self.lock().values().filter(|held| runtime_id.is_none_or(|id| held.visit.runtime_id == id)).cloned().collect()
    }

    fn cut(&self, which: impl Fn(&Held) -> bool) {
        self.renew();
        for held in self.lock().values().filter(|held| which(held)) {
            held.cut.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Held>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Cuts this one.
    pub fn cut(&self) {
        self.cut.cancel();
    }
}

impl Hold {
    /// Fires when the connection is to end.
    #[must_use]
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;

    fn visit() -> Visit {
        Visit { session_id: new_id(), person_id: new_id(), runtime_id: new_id() }
    }

    #[test]
    fn a_cut_ends_what_it_names_and_nothing_else() {
        let connections = Arc::new(Connections::default());
        let address: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let (ada, bob) = (visit(), visit());
        let of_ada = connections.hold(ada, [0; 32], "ada", address);
        let of_bob = connections.hold(bob, [0; 32], "bob", address);
        let before = connections.epoch();
        connections.cut_person(ada.person_id);
        assert!(of_ada.cut().is_cancelled());
        assert!(!of_bob.cut().is_cancelled());
        assert!(connections.epoch() > before);
        connections.cut_session(bob.session_id);
        assert!(of_bob.cut().is_cancelled());
        drop((of_ada, of_bob));
        assert!(connections.is_empty());
    }
}
