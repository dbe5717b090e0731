//! OpenClaw, as far as its sleep is concerned: it works, has schedules, agrees or not, and answers late, never, or loses its answer.

use crate::{
    dice::Dice,
    engine::{Held, Machine},
    world::Life,
};
use async_trait::async_trait;
use contract::RuntimeId;
use server::manager::{
    ContainerState,
    rpc::{Consent, Due, Mute, Openclaw, Outlook, Purpose},
};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use time::OffsetDateTime;

/// How long an agreement lasts.
const LEASE: Duration = Duration::from_secs(120);
/// How late a schedule may begin, in peace.
const LATE: Duration = Duration::from_secs(4);
/// How long a visitor may stand before a runtime that is still called asleep, in peace.
const STANDS: Duration = Duration::from_secs(8);

/// One OpenClaw. Its schedules are in its workspace, the rest in its process.
#[derive(Clone, Default)]
pub struct Claw {
    schedules: BTreeSet<OffsetDateTime>,
    works_until: Option<OffsetDateTime>,
    /// Purpose, number and end of its agreement.
    lease: Option<(Purpose, u64, OffsetDateTime)>,
    leases: u64,
    /// From when to when somebody is there.
    visitor: Option<(OffsetDateTime, OffsetDateTime)>,
}

impl Claw {
    /// A new process.
    pub fn begin(&mut self) {
        (self.works_until, self.lease) = (None, None);
    }

    pub fn works(&self, now: OffsetDateTime) -> bool {
        self.works_until.is_some_and(|until| until > now)
    }

    /// Whether it takes nothing new.
    pub fn is_closed(&self, now: OffsetDateTime) -> bool {
        self.lease.is_some_and(|(_, _, until)| until > now)
    }

    pub fn visit(&mut self, from: OffsetDateTime, to: OffsetDateTime) {
        self.visitor = Some((from, to));
    }

    /// Somebody is there, and was heard.
    pub fn has_visitor(&self, now: OffsetDateTime) -> bool {
        self.visitor.is_some_and(|(from, to)| from + Duration::from_secs(2) < now && now < to)
    }

    pub fn waits_long(&self, now: OffsetDateTime) -> bool {
        self.visitor.is_some_and(|(from, to)| from + STANDS < now && now < to)
    }

    pub fn is_overdue(&self, now: OffsetDateTime) -> bool {
        self.schedules.first().is_some_and(|due| *due + LATE < now)
    }

    pub fn has_schedules(&self) -> bool {
        !self.schedules.is_empty()
    }

    /// A second passes. While things go wrong people schedule things; in peace what is scheduled runs.
    pub fn live(&mut self, now: OffsetDateTime, dice: &Dice) {
        if self.works_until.is_some_and(|until| until <= now) {
            self.works_until = None;
            if dice.fault(2) {
                self.schedules.insert(now + Duration::from_secs(40 + dice.below(700)));
            }
        }
        if self.works(now) || self.is_closed(now) {
            return;
        }
        let due = self.schedules.first().copied().filter(|due| *due <= now);
        if due.is_some() || dice.fault(15) {
            self.works_until = Some(now + Duration::from_secs(3 + dice.below(8)));
            due.map(|due| self.schedules.remove(&due));
        }
    }
}

/// One server's way to every OpenClaw.
pub struct SimOpenclaw {
    pub machine: Arc<Machine>,
    pub life: Arc<Life>,
}

impl SimOpenclaw {
    async fn ask<T>(&self, address: SocketAddr, act: impl FnOnce(&mut Claw, OffsetDateTime) -> Result<T, Mute> + Send) -> Result<T, Mute> {
        let dice = &self.machine.dice;
        tokio::time::sleep(dice.delay()).await;
        self.life.check().await;
        if dice.fault(30) {
            return Err(Mute("refused".to_owned()));
        }
        let now = self.machine.now();
        let answered = {
            let mut held = self.machine.held();
            listening(&held, address, now).map(|id| act(held.claws.entry(id).or_default(), now))
        };
        let Some(answer) = answered else {
            // Nobody there, or one that stands still.
            tokio::time::sleep(Duration::from_secs(if dice.once_in(2) { 0 } else { 5 })).await;
            self.life.check().await;
            return Err(Mute("no answer".to_owned()));
        };
        tokio::time::sleep(dice.delay()).await;
        self.life.check().await;
        // Done, and never heard.
        if dice.fault(30) { Err(Mute("lost".to_owned())) } else { answer }
    }
}

fn listening(held: &Held, at: SocketAddr, now: OffsetDateTime) -> Option<RuntimeId> {
    let listens = |state: &ContainerState| matches!(state, ContainerState::Running { address, .. } if *address == Some(at));
    let found = held.containers.values().find(|container| listens(&container.state) && container.ready_at.is_some_and(|at| at <= now));
    found.map(|container| container.spec.runtime_id)
}

#[async_trait]
impl Openclaw for SimOpenclaw {
    async fn outlook(&self, address: SocketAddr) -> Result<Outlook, Mute> {
        self.ask(address, |claw, now| {
            if claw.is_closed(now) {
                return Err(Mute("UNAVAILABLE".to_owned()));
            }
            let next = claw.schedules.first().map(|at| Due { at: *at, name: "daily digest".to_owned() });
            Ok(Outlook { next, watches: None })
        })
        .await
    }

    async fn prepare(&self, address: SocketAddr, purpose: Purpose) -> Result<Consent, Mute> {
        let busy = self.machine.dice.fault(10);
        self.ask(address, |claw, now| {
            let mine = claw.lease.filter(|(_, _, until)| *until > now);
            let (works, other) = (claw.works(now), mine.is_some_and(|(held, _, _)| held != purpose));
            if other || busy || (works && purpose == Purpose::Sleep) {
                return Ok(Consent::Busy("at work".to_owned()));
            }
            let number = mine.map_or(claw.leases + 1, |(_, number, _)| number);
            (claw.leases, claw.lease) = (number, Some((purpose, number, now + LEASE)));
            Ok(if works { Consent::Busy("finishing".to_owned()) } else { Consent::Given { suspension_id: number.to_string() } })
        })
        .await
    }

    async fn resume(&self, address: SocketAddr, suspension_id: &str) -> Result<(), Mute> {
        self.ask(address, |claw, _| {
            claw.lease = claw.lease.filter(|(_, number, _)| number.to_string() != suspension_id);
            Ok(())
        })
        .await
    }
}
