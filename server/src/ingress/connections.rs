//! The registry of what is open towards runtimes: streams and WebSockets, by session, person and runtime, so that a revocation cuts them.
//!
//! Nothing may slip through between the check of a cookie and the entry into the registry. So every cut counts the epoch on: whoever entered reads
//! the epoch again and, when it moved, checks anew. [`Connections::epoch`] is taken before the check.

use super::cut::{Cut, Reason};
use crate::{backend::Open, data::ticket::Visit};
use contract::{OpenConnections, PersonId, RuntimeId, SessionId};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::time::Instant;

/// Everything open towards runtimes, and every stream of live updates.
#[derive(Default)]
pub struct Connections {
    open: Mutex<Registry>,
    next: AtomicU64,
    epoch: AtomicU64,
}

#[derive(Default)]
struct Registry {
    held: HashMap<u64, Held>,
    /// How much each person has open. Nobody stands here with nothing.
    shares: HashMap<PersonId, usize>,
}

/// What is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A WebSocket.
    WebSocket,
    /// A request, until its answer has ended.
    Stream,
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
    /// What it is.
    pub kind: Kind,
    cut: Cut,
}

/// Keeps a connection in the registry until dropped.
pub struct Hold {
    id: u64,
    visit: Visit,
    cut: Cut,
    share: Share,
    /// When it ends by itself.
    ends_at: Option<Instant>,
}

/// A person's place for one open thing, until dropped.
pub struct Share {
    person_id: PersonId,
    connections: Arc<Connections>,
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
        self.lock().held.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A place for one more open thing of this person, who may have `most`; none where there is no more. With 0 there is always one.
    #[must_use]
    pub fn share(self: &Arc<Self>, person_id: PersonId, most: usize) -> Option<Share> {
        let mut registry = self.lock();
        let share = registry.shares.entry(person_id).or_default();
        if most > 0 && *share >= most {
            return None;
        }
        *share += 1;
        drop(registry);
        Some(Share { person_id, connections: Arc::clone(self) })
    }

    /// Enters a connection.
    #[must_use]
    pub fn hold(&self, share: Share, visit: Visit, token_hash: [u8; 32], label: &str, address: SocketAddr, kind: Kind) -> Hold {
        let cut = Cut::default();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().held.insert(id, Held { visit, token_hash, label: label.to_owned(), address, kind, cut: cut.clone() });
        Hold { id, visit, cut, share, ends_at: None }
    }

    /// Cuts what a session holds: it ended.
    pub fn cut_session(&self, session_id: SessionId) {
        self.cut(|held| held.visit.session_id == session_id);
    }

    /// Cuts what a person holds: they may enter no more.
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
        self.lock().held.values().filter(|held| runtime_id.is_none_or(|id| held.visit.runtime_id == id)).cloned().collect()
    }

    fn cut(&self, which: impl Fn(&Held) -> bool) {
        self.renew();
        for held in self.lock().held.values().filter(|held| which(held)) {
            held.cut(Reason::SignedOut);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open for Connections {
    fn open(&self) -> Vec<(RuntimeId, OpenConnections)> {
        let mut by_runtime: HashMap<RuntimeId, OpenConnections> = HashMap::new();
        for held in self.lock().held.values() {
            let open = by_runtime.entry(held.visit.runtime_id).or_default();
            match held.kind {
                Kind::WebSocket => open.websockets += 1,
                Kind::Stream => open.streams += 1,
            }
        }
        by_runtime.into_iter().collect()
    }
}

impl Held {
    /// Cuts this one.
    pub fn cut(&self, reason: Reason) {
        self.cut.fire(reason);
    }
}

impl Hold {
    /// Lets it end by itself, too: a share is for a time.
    #[must_use]
    pub fn until(mut self, ends_at: Option<Instant>) -> Self {
        self.ends_at = ends_at;
        self
    }

    /// Who holds it.
    #[must_use]
    pub fn visit(&self) -> &Visit {
        &self.visit
    }

    /// Waits until the connection is to end.
    pub fn ended(&self) -> impl Future<Output = Reason> + Send + use<> {
        let (cut, ends_at) = (self.cut.clone(), self.ends_at);
        async move {
            let by_itself = async {
                match ends_at {
                    Some(ends_at) => tokio::time::sleep_until(ends_at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                reason = cut.fired() => reason,
                () = by_itself => Reason::ShareEnded,
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.share.connections.lock().held.remove(&self.id);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut registry = self.connections.lock();
        if let Some(share) = registry.shares.get_mut(&self.person_id) {
            *share = share.saturating_sub(1);
            if *share == 0 {
                registry.shares.remove(&self.person_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;

    fn visit() -> Visit {
        Visit { session_id: new_id(), person_id: new_id(), runtime_id: new_id(), access: None, ends_at: None }
    }

    fn hold(connections: &Arc<Connections>, visit: Visit, label: &str, kind: Kind) -> Hold {
        let share = connections.share(visit.person_id, 0).unwrap();
        connections.hold(share, visit, [0; 32], label, "10.0.0.1:1".parse().unwrap(), kind)
    }

    #[test]
    fn a_cut_ends_what_it_names_and_nothing_else() {
        let connections = Arc::new(Connections::default());
        let (ada, bob) = (visit(), visit());
        let of_ada = hold(&connections, ada, "ada", Kind::WebSocket);
        let of_bob = hold(&connections, bob, "bob", Kind::Stream);
        let before = connections.epoch();
        connections.cut_person(ada.person_id);
        assert_eq!((of_ada.cut.reason(), of_bob.cut.reason()), (Some(Reason::SignedOut), None));
        assert!(connections.epoch() > before);
        connections.held(Some(bob.runtime_id))[0].cut(Reason::Stopped);
        connections.cut_session(bob.session_id);
        assert_eq!(of_bob.cut.reason(), Some(Reason::Stopped), "the first reason is the reason");
        drop((of_ada, of_bob));
        assert!(connections.is_empty());
    }

    #[test]
    fn what_is_open_is_told_by_runtime_and_kind() {
        let connections = Arc::new(Connections::default());
        let ada = visit();
        let held = [Kind::WebSocket, Kind::WebSocket, Kind::Stream].map(|kind| hold(&connections, ada, "ada", kind));
        assert_eq!(connections.open(), [(ada.runtime_id, OpenConnections { websockets: 2, streams: 1 })]);
        drop(held);
        assert_eq!(connections.open(), []);
    }

    #[test]
    fn a_person_has_so_many_places_and_gets_them_back() {
        let connections = Arc::new(Connections::default());
        let (ada, bob) = (new_id(), new_id());
        let first = connections.share(ada, 2).unwrap();
        let second = connections.share(ada, 2).unwrap();
        assert!(connections.share(ada, 2).is_none() && connections.share(bob, 2).is_some());
        drop(first);
        let third = connections.share(ada, 2);
        assert!(third.is_some());
        drop((second, third));
        assert!(connections.lock().shares.is_empty());
    }
}
