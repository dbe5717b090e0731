//! Where a runtime's host name leads. Asked with every request of the gateway, so the answer is kept until something changes.

use super::{Orchestrator, ports::Ports};
use crate::{
    Result,
    data::{listen::Change, runtime::Row},
    manager::ContainerState,
};
use contract::{PersonId, Phase, Problem, RuntimeId};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

/// A kept answer is asked for again after this long, whether a change was told or not.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// What the gateway needs to know of a runtime's host.
#[derive(Clone, Debug)]
pub struct Route {
    /// Which runtime.
    pub runtime_id: RuntimeId,
    /// Whose.
    pub person_id: PersonId,
    /// The identity that OpenClaw is told.
    pub person_email: String,
    /// The name its owner gave it.
    pub name: String,
    /// Where it stands.
    pub phase: Phase,
    /// Where OpenClaw listens; only when it is ready, or sleeps with its container.
    pub address: Option<SocketAddr>,
    /// What is wrong with it.
    pub problem: Option<Problem>,
}

fn route(row: Row, address: Option<SocketAddr>) -> Route {
    Route {
        runtime_id: row.runtime_id,
        person_id: row.person_id,
        person_email: row.person_email,
        name: row.name,
        phase: row.phase,
        address,
        problem: row.problem.map(|problem| problem.0),
    }
}

/// Answers that were given lately.
pub(super) struct Kept(Mutex<(Receiver<Change>, Routes)>);

/// By host label, with when they were asked for.
type Routes = HashMap<String, (Instant, Route)>;

impl Kept {
    pub(super) fn new(changes: Receiver<Change>) -> Self {
        Self(Mutex::new((changes, HashMap::new())))
    }

    fn find(&self, host_label: &str) -> Option<Route> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (changes, routes) = &mut *kept;
        loop {
            match changes.try_recv() {
                Ok(Change::Runtime { runtime_id, .. }) => routes.retain(|_, (_, route)| route.runtime_id != runtime_id),
                Ok(Change::PersonClosed { person_id }) => routes.retain(|_, (_, route)| route.person_id != person_id),
                Ok(Change::Anything) | Err(TryRecvError::Lagged(_)) => routes.clear(),
                Ok(
                    Change::SessionEnded { .. }
                    | Change::Usage { .. }
                    | Change::Keys { .. }
                    | Change::Limits
                    | Change::Catalog
                    | Change::People,
                ) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        routes.get(host_label).filter(|(since, _)| since.elapsed() < KEPT_FOR).map(|(_, route)| route.clone())
    }

    fn keep(&self, host_label: &str, asked: Instant, route: &Route) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.retain(|_, (since, _)| since.elapsed() < KEPT_FOR);
        kept.1.insert(host_label.to_owned(), (asked, route.clone()));
    }
}

/// All that are ready, as they were listed last, with when; and what changed since.
pub(super) struct Listed(tokio::sync::Mutex<(Receiver<Change>, Option<List>)>);

/// Routes by host label, with when they were listed.
type List = (Instant, Vec<(String, Route)>);

/// A list is made anew after this long, whether a change was told or not.
const LISTED_FOR: Duration = Duration::from_secs(5);

impl Listed {
    pub(super) fn new(changes: Receiver<Change>) -> Self {
        Self(tokio::sync::Mutex::new((changes, None)))
    }
}

/// Whether a change may have made a list of routes untrue.
fn touches_routes(change: &Result<Change, TryRecvError>) -> bool {
    match change {
        Ok(Change::Runtime { .. } | Change::PersonClosed { .. } | Change::Anything) | Err(TryRecvError::Lagged(_)) => true,
        Ok(
            Change::SessionEnded { .. } | Change::Usage { .. } | Change::Keys { .. } | Change::Limits | Change::Catalog | Change::People,
        )
        | Err(TryRecvError::Empty | TryRecvError::Closed) => false,
    }
}

impl Orchestrator {
    /// All runtimes that are ready and where they are, by label. Listed anew when one of them changed: the engine is not asked for each.
    pub async fn ready_routes(&self) -> Result<Vec<(String, Route)>> {
        // Held while it is listed: whoever asks meanwhile gets the same list.
        let mut listed = self.listed.0.lock().await;
        let (changes, list) = &mut *listed;
        loop {
            let change = changes.try_recv();
            if touches_routes(&change) {
                *list = None;
            }
            if matches!(change, Err(TryRecvError::Empty | TryRecvError::Closed)) {
                break;
            }
        }
        if let Some((since, routes)) = list
            && since.elapsed() < LISTED_FOR
        {
            return Ok(routes.clone());
        }
        let asked = Instant::now();
        let rows = self.store.all().await?;
        let world = self.engine.survey().await?;
        let mut routes = Vec::new();
        for row in rows.into_iter().filter(|row| row.phase == Phase::Ready) {
            let container = world.get(&row.runtime_id).and_then(|seen| seen.container.as_ref());
            let Some(ContainerState::Running { address: Some(address), .. }) = container.map(|container| &container.state) else {
                continue;
            };
            if let Some(label) = self.label(&row) {
                routes.push((label, route(row, Some(*address))));
            }
        }
        routes.sort_by(|(one, _), (other, _)| one.cmp(other));
        *list = Some((asked, routes.clone()));
        Ok(routes)
    }

    /// Where the host of this label leads, or the port that is its label where runtimes have ports; none when no runtime has it.
    pub async fn address_of(&self, host_label: &str) -> Result<Option<Route>> {
        if let Some(route) = self.kept.find(host_label) {
            return Ok(Some(route));
        }
        let asked = Instant::now();
        let row = match (&self.ports, host_label.parse::<u16>()) {
            (None, _) => self.store.by_host_label(host_label).await?,
            (Some(ports), Ok(port)) if ports.range().contains(port) => self.store.by_port(port).await?,
            (Some(_), _) => None,
        };
        let Some(row) = row else { return Ok(None) };
        let address = if matches!(row.phase, Phase::Ready | Phase::Asleep | Phase::Waking) {
            match self.engine.look(row.runtime_id).await?.container.map(|container| container.state) {
                Some(ContainerState::Running { address, .. } | ContainerState::Frozen { address, .. }) => address,
                Some(ContainerState::Created | ContainerState::Ended { .. }) | None => None,
            }
        } else {
            None
        };
        let route = route(row, address);
        self.kept.keep(host_label, asked, &route);
        Ok(Some(route))
    }

    /// The origin of a runtime: its own host, `http://name.clawloops.localhost:3000`, or its own port, `https://192.0.2.7:20001`. Where it was given none of
    /// those that there are now, it is at port 0, where nobody comes.
    #[must_use]
    pub fn origin(&self, host_label: &str, port: Option<i32>) -> String {
        let public = &self.config.entry.public_url;
        let (scheme, host) = (public.scheme(), public.host_str().unwrap_or_default());
        if let Some(ports) = &self.ports {
            return format!("{scheme}://{host}:{}", listed(ports, port).unwrap_or_default());
        }
        let port = public.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{host_label}.{host}{port}")
    }

    /// What tells this runtime from others in an address: the first label of its host name, or its port.
    fn label(&self, row: &Row) -> Option<String> {
        match &self.ports {
            None => Some(row.host_label.clone()),
            Some(ports) => listed(ports, row.port).map(|port| port.to_string()),
        }
    }
}

/// A runtime's port, if it is one of those that there are now.
fn listed(ports: &Ports, port: Option<i32>) -> Option<u16> {
    port.and_then(|port| u16::try_from(port).ok()).filter(|port| ports.range().contains(*port))
}
