//! From any state whatever, one action after the other leads to what was asked, and nothing is done that was not.

use super::*;
use crate::{
    manager::{Made, epoch::Restarted},
    orchestrator::rest,
};
use proptest::prelude::*;

/// A small world to act in: what the engine would do, at once and without fail.
#[derive(Clone, Debug)]
struct Small {
    desired: DesiredState,
    retention: Option<Retention>,
    phase: Phase,
    retry_at: Option<OffsetDateTime>,
    container: Option<SeenContainer>,
    isolated: bool,
    configured: bool,
    current: bool,
    workspace: bool,
    finished: bool,
    /// How deep it is to sleep, and whether OpenClaw agreed.
    depth: Option<SleepDepth>,
    agreed: bool,
    /// Whether something is due that it must be awake for.
    due: bool,
    /// Whether nobody used it for long.
    tired: bool,
    /// Whether OpenClaw finishes something.
    drains: bool,
    resumed: bool,
    /// What was restarted since its container was last seen to run.
    restarted: Option<Restarted>,
    now: OffsetDateTime,
}

const REVISION: i64 = 3;

fn spec() -> RuntimeSpec {
    RuntimeSpec {
        runtime_id: contract::RuntimeId(uuid::Uuid::nil()),
        revision: REVISION,
        image: "image".to_owned(),
        workspace: "workspace".to_owned(),
        memory_bytes: 2 << 30,
        cpu_millis: 2000,
        pids: 512,
        gpu: false,
        oci_runtime: None,
    }
}

/// A container as we make it.
fn made(revision: i64, hash: &str, state: ContainerState) -> SeenContainer {
    let spec = spec();
    let image_id = "sha256:1".to_owned();
    let made = Made {
        image: spec.image.clone(),
        newest_id: Some(image_id.clone()),
        image_id,
        limits: spec.limits(),
        workspace: Some(spec.workspace),
        gpu: spec.gpu,
        oci_runtime: Some("runc".to_owned()),
    };
    SeenContainer { revision, spec_hash: hash.to_owned(), state, breaches: Vec::new(), made: Some(made), out_of_memory: None }
}

impl Small {
    fn next(&self, ready: Option<bool>) -> Action {
        self.next_since(self.now, ready)
    }

    /// The next action when it came to stand where it stands at that time.
    fn next_since(&self, phase_since: OffsetDateTime, ready: Option<bool>) -> Action {
        next(&Facts {
            desired: self.desired,
            retention: self.retention,
            phase: self.phase,
            phase_since,
            rest: Rest {
                policy: rest::Policy::of(i32::from(self.tired), 0),
                idle_since: self.now - Duration::hours(1),
                awake_until: None,
                asleep_since: self.now,
                depth: self.depth,
                agreed_until: self.agreed.then(|| self.now + Duration::seconds(30)),
                wakes_at: self.due.then_some(self.now),
            },
            drain_until: self.drains.then(|| self.now + Duration::seconds(1)),
            drained: None,
            resumed: self.resumed,
            revision: REVISION,
            spec_hash: "now",
            spec: &spec(),
            changing: false,
            adjusted: false,
            retry_at: self.retry_at,
            admitted: true,
            deadline: Duration::seconds(60),
            container: self.container.as_ref(),
            isolated: self.isolated,
            configured: self.configured,
            current: self.configured && self.current,
            edited: false,
            restarted: self.restarted,
            ready,
            now: self.now,
        })
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Rest(phase) => self.phase = *phase,
            Action::Doze(depth) => {
                assert!(matches!(self.phase, Phase::Ready | Phase::Asleep), "one that is not well is not asked");
                (self.phase, self.depth, self.agreed) = (Phase::Asleep, Some(*depth), true);
            }
            Action::Freeze => {
                assert!(self.agreed, "frozen without a word");
                let Some(ContainerState::Running { since, address }) = self.state() else { panic!("nothing runs") };
                self.set(ContainerState::Frozen { since, address });
            }
            Action::Thaw => {
                let Some(ContainerState::Frozen { since, address }) = self.state() else { panic!("nothing stands still") };
                // Nobody knows what it took up since.
                self.agreed = false;
                self.set(ContainerState::Running { since, address });
            }
            Action::Sink => (self.depth, self.agreed) = (Some(SleepDepth::Stopped), false),
            Action::Wake => (self.phase, self.due) = (Phase::Waking, false),
            Action::Resume => self.resumed = true,
            Action::Drain => self.drains = false,
            Action::Place => {
                (self.phase, self.retry_at, self.isolated, self.configured, self.current, self.workspace) =
                    (Phase::Creating, None, true, true, true, true)
            }
            Action::Queue => panic!("its memory is held"),
            Action::Create => {
                assert!(self.container.is_none() && self.isolated && self.configured && self.workspace);
                self.phase = Phase::Creating;
                self.container = Some(made(REVISION, "now", ContainerState::Created));
            }
            Action::Start => {
                assert!(self.isolated && self.current);
                self.phase = Phase::Starting;
                self.set(ContainerState::Running { since: self.now, address: None });
            }
            Action::Ask if self.phase == Phase::Waking => {}
            Action::Ask => self.phase = Phase::Waiting,
            Action::Welcome => self.phase = Phase::Ready,
            Action::Adjust => {
                if let Some(made) = self.container.as_mut().and_then(|container| container.made.as_mut()) {
                    made.limits = spec().limits();
                }
            }
            Action::Configure => (self.configured, self.current) = (true, true),
            Action::Wait(time) => self.now += *time,
            Action::Recover(_) => (self.phase, self.retry_at, self.restarted) = (Phase::Pending, None, None),
            Action::Fail(_) => (self.phase, self.retry_at) = (Phase::Retrying, Some(self.now + Duration::seconds(2))),
            Action::Stop => {
                if !matches!(self.phase, Phase::Retrying | Phase::Asleep) {
                    self.phase = Phase::Stopping;
                }
                self.set(ContainerState::Ended { code: 0, out_of_memory: false });
            }
            Action::Remove => {
                assert!(!matches!(self.state(), Some(ContainerState::Running { .. } | ContainerState::Frozen { .. })));
                self.container = None;
            }
            Action::Release => {
                assert!(self.container.is_none());
                (self.isolated, self.configured) = (false, false);
            }
            Action::Finish { wipe } => {
                assert!(self.container.is_none() && !self.isolated && !self.configured);
                self.workspace &= !wipe;
                self.finished = true;
            }
        }
    }

    fn state(&self) -> Option<ContainerState> {
        self.container.as_ref().map(|container| container.state.clone())
    }

    fn set(&mut self, state: ContainerState) {
        if let Some(container) = &mut self.container {
            container.state = state;
        }
    }

    /// Acts until there is nothing to do; what was done.
    fn settle(&mut self, answers: bool) -> Vec<Action> {
        let mut done = Vec::new();
        loop {
            assert!(done.len() < 60, "does not come to rest: {done:?}");
            let mut action = self.next(None);
            if action == Action::Resume {
                self.act(&action);
                done.push(action);
                action = self.next(None);
                self.resumed = false;
            }
            if action == Action::Ask {
                self.resumed = self.phase == Phase::Waking;
                self.act(&action);
                action = self.next(Some(answers));
            }
            self.act(&action);
            done.push(action.clone());
            if matches!(action, Action::Rest(_) | Action::Finish { .. }) {
                return done;
            }
        }
    }
}

fn beginning() -> OffsetDateTime {
    time::macros::datetime!(2026-11-22 12:00 UTC)
}

/// One that nobody sends to sleep.
fn awake() -> Small {
    Small {
        desired: DesiredState::Running,
        retention: None,
        phase: Phase::Ready,
        retry_at: None,
        container: None,
        isolated: true,
        configured: true,
        current: true,
        workspace: true,
        finished: false,
        depth: None,
        agreed: false,
        due: false,
        tired: false,
        drains: false,
        resumed: false,
        restarted: None,
        now: beginning(),
    }
}

fn phases() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![
        Phase::Stopped,
        Phase::Pending,
        Phase::Creating,
        Phase::Starting,
        Phase::Waiting,
        Phase::Ready,
        Phase::Asleep,
        Phase::Waking,
        Phase::Draining,
        Phase::Stopping,
        Phase::Deleting,
        Phase::Retrying,
    ])
}

fn states() -> impl Strategy<Value = ContainerState> {
    prop_oneof![
        Just(ContainerState::Created),
        (0_i64..600).prop_map(|ago| ContainerState::Running { since: beginning() - Duration::seconds(ago), address: None }),
        (0_i64..600).prop_map(|ago| ContainerState::Frozen { since: beginning() - Duration::seconds(ago), address: None }),
        (prop::sample::select(vec![0_i64, 1, 78, 137, 255]), any::<bool>())
            .prop_map(|(code, out_of_memory)| ContainerState::Ended { code, out_of_memory }),
    ]
}

prop_compose! {
    fn worlds()(
        desired in prop::sample::select(vec![DesiredState::Running, DesiredState::Stopped, DesiredState::Deleted]),
        wipe in any::<bool>(),
        phase in phases(),
        retry in prop::option::of(-30_i64..30),
        container in prop::option::of((1_i64..=REVISION, prop::sample::select(vec!["now", "then"]), states())),
        isolated in any::<bool>(),
        configured in any::<bool>(),
        current in any::<bool>(),
        workspace in any::<bool>(),
        restarted in prop::sample::select(vec![None, Some(Restarted::Machine), Some(Restarted::Engine)]),
        rest in (prop::sample::select(vec![None, Some(SleepDepth::Frozen), Some(SleepDepth::Stopped)]), any::<[bool; 4]>()),
    ) -> Small {
        let (depth, [agreed, due, tired, drains]) = rest;
        let retention = if wipe { Retention::WipeWorkspace } else { Retention::PreserveWorkspace };
        Small {
            desired,
            retention: (desired == DesiredState::Deleted).then_some(retention),
            phase,
            retry_at: retry.map(|seconds| beginning() + Duration::seconds(seconds)),
            container: container.map(|(revision, hash, state)| made(revision, hash, state)),
            isolated,
            configured,
            current,
            // A place that is made has a workspace: it is made first and never removed under one.
            workspace: workspace || configured,
            finished: false,
            depth,
            agreed,
            due,
            tired,
            drains,
            resumed: false,
            restarted,
            now: beginning(),
        }
    }
}

proptest! {
    #[test]
    fn every_state_leads_to_what_was_asked(mut world in worlds()) {
        let before = world.clone();
        let done = world.settle(true);
        match world.desired {
            DesiredState::Running if world.phase == Phase::Asleep => {
                prop_assert!(before.tired || before.phase == Phase::Asleep, "nobody sent it to sleep: {:?}", done);
                match world.depth {
                    Some(SleepDepth::Frozen) => prop_assert!(matches!(world.state(), Some(ContainerState::Frozen { .. })), "{:?}", done),
                    _ => prop_assert!(world.container.is_none() && !world.isolated && !world.configured, "{:?}", done),
                }
            }
            DesiredState::Running => {
                prop_assert_eq!(world.phase, Phase::Ready);
                prop_assert!(world.current && world.isolated, "{:?}", done);
                let Some(container) = world.container else { return Err(TestCaseError::fail("nothing runs")) };
                prop_assert_eq!(container.revision, REVISION);
                let runs = matches!(container.state, ContainerState::Running { .. });
                prop_assert!(runs);
            }
            DesiredState::Stopped => {
                prop_assert_eq!(world.phase, Phase::Stopped);
                prop_assert!(world.container.is_none() && !world.isolated && !world.configured);
                prop_assert_eq!(world.workspace, before.workspace);
            }
            DesiredState::Deleted => {
                prop_assert!(world.finished && world.container.is_none() && !world.isolated && !world.configured);
                let wiped = before.retention == Some(Retention::WipeWorkspace);
                prop_assert_eq!(world.workspace, before.workspace && !wiped);
            }
        }
    }

    #[test]
    fn who_is_asked_to_stop_is_never_started(mut world in worlds()) {
        prop_assume!(world.desired != DesiredState::Running);
        let done = world.settle(false);
        let started = done.iter().any(|action| matches!(action, Action::Place | Action::Create | Action::Start | Action::Thaw | Action::Wait(_)));
        prop_assert!(!started, "{:?}", done);
    }

    #[test]
    fn a_ready_container_is_left_alone(seconds in 0_i64..10_000_000, hash in prop::sample::select(vec!["now", "then"]), current in any::<bool>()) {
        let state = ContainerState::Running { since: beginning() - Duration::seconds(seconds), address: None };
        let mut world = Small {
            desired: DesiredState::Running,
            retention: None,
            phase: Phase::Ready,
            retry_at: None,
            container: Some(made(REVISION, hash, state)),
            isolated: true,
            configured: true,
            current,
            workspace: true,
            finished: false,
            ..awake()
        };
        let done = world.settle(false);
        let left = done.iter().all(|action| matches!(action, Action::Rest(Phase::Ready) | Action::Configure));
        prop_assert!(left, "{:?}", done);
    }

    #[test]
    fn a_stop_has_its_time_and_no_more(p95 in prop::option::of(0_i64..1_000_000)) {
        prop_assert!((Duration::seconds(12)..=Duration::seconds(60)).contains(&grace(p95)));
        prop_assert!(grace(p95.map(|slow| slow + 1)) >= grace(p95));
    }

    #[test]
    fn a_deadline_is_never_short_and_grows_with_every_try_and_with_the_crowd(
        p95 in prop::option::of(0_i64..1_000_000), attempts in 0_i32..TRIES, crowd in 0_i32..2_000,
    ) {
        let now = deadline(p95, attempts, crowd);
        prop_assert!(now >= Duration::seconds(60));
        prop_assert!(deadline(p95, attempts + 1, crowd) > now || now == Duration::minutes(15));
        prop_assert!(deadline(p95, attempts, crowd.max(1) + 1) > now || now == Duration::minutes(15));
    }
}

#[test]
fn who_is_never_ready_fails_by_its_deadline() {
    let mut world = Small {
        desired: DesiredState::Running,
        retention: None,
        phase: Phase::Waiting,
        retry_at: None,
        container: Some(made(REVISION, "now", ContainerState::Running { since: beginning(), address: None })),
        isolated: true,
        configured: true,
        current: true,
        workspace: true,
        finished: false,
        ..awake()
    };
    assert_eq!(world.next(Some(false)), Action::Wait(ASK_AGAIN));
    world.now += Duration::seconds(61);
    assert_eq!(world.next(Some(false)), Action::Fail(Cause::Slow { deadline: Duration::seconds(60), out_of_memory: None }));
    // Late is better than never.
    assert_eq!(world.next(Some(true)), Action::Welcome);
}

#[test]
fn failures_are_counted_waited_for_and_forgiven() {
    let (now, phase) = (beginning(), Phase::Waiting);
    // Luck makes the wait up to a quarter longer, never shorter.
    assert_eq!(after_failure(1, phase, now, 255, now), Verdict::Retry { attempts: 2, at: now + Duration::seconds(5) });
    assert_eq!(after_failure(0, phase, now, 0, now), Verdict::Retry { attempts: 1, at: now + Duration::seconds(2) });
    assert_eq!(after_failure(1, phase, now, 0, now), Verdict::Retry { attempts: 2, at: now + Duration::seconds(4) });
    assert_eq!(after_failure(3, phase, now, 0, now), Verdict::Retry { attempts: 4, at: now + Duration::seconds(16) });
    assert_eq!(after_failure(4, phase, now, 0, now), Verdict::GiveUp { attempts: 5 });
    // Ready for a minute is no proof, ready for long is.
    assert_eq!(after_failure(4, Phase::Ready, now - Duration::minutes(1), 0, now), Verdict::GiveUp { attempts: 5 });
    assert_eq!(
        after_failure(4, Phase::Ready, now - Duration::minutes(11), 0, now),
        Verdict::Retry { attempts: 1, at: now + Duration::seconds(2) }
    );
}

/// A container that runs or stands still, in a runtime that sleeps.
fn asleep(depth: SleepDepth, state: Option<ContainerState>) -> Small {
    let container = state.map(|state| made(REVISION, "now", state));
    Small { phase: Phase::Asleep, depth: Some(depth), container, ..awake() }
}

#[test]
fn what_sleeps_is_left_alone_until_it_is_needed() {
    let still = ContainerState::Frozen { since: beginning(), address: None };
    let runs = ContainerState::Running { since: beginning(), address: None };
    let frozen = asleep(SleepDepth::Frozen, Some(still.clone()));
    assert_eq!(frozen.next(None), Action::Rest(Phase::Asleep));
    assert_eq!(Small { due: true, ..frozen.clone() }.settle(true)[..3], [Action::Wake, Action::Thaw, Action::Resume]);
    // Thawed by hand, or never frozen and the agreement ran out: nobody knows what it does.
    assert_eq!(asleep(SleepDepth::Frozen, Some(runs.clone())).next(None), Action::Wake);
    assert_eq!(Small { agreed: true, ..asleep(SleepDepth::Frozen, Some(runs.clone())) }.next(None), Action::Freeze);
    // Killed in its sleep: it sleeps on, deeper, and will be woken earlier.
    let killed = ContainerState::Ended { code: 137, out_of_memory: false };
    let done = asleep(SleepDepth::Frozen, Some(killed)).settle(true);
    assert_eq!(done, [Action::Sink, Action::Remove, Action::Release, Action::Rest(Phase::Asleep)]);
    // What is to end is thawed first, and asked again.
    let done = asleep(SleepDepth::Stopped, Some(still.clone())).settle(true);
    assert_eq!(done[..4], [Action::Thaw, Action::Doze(SleepDepth::Stopped), Action::Stop, Action::Remove]);
    // A wish to stop or to go wakes nothing.
    let done = Small { desired: DesiredState::Stopped, drains: true, ..frozen }.settle(true);
    assert_eq!(done, [Action::Stop, Action::Remove, Action::Release, Action::Rest(Phase::Stopped)]);
    // Frozen by a hand: nobody asked for that.
    let by_hand = Small { container: Some(made(REVISION, "now", still)), ..awake() };
    assert_eq!(by_hand.next(None), Action::Thaw);
}

#[test]
fn what_works_may_finish_within_its_bound() {
    let runs = || Some(made(REVISION - 1, "then", ContainerState::Running { since: beginning(), address: None }));
    let stop = Small { desired: DesiredState::Stopped, container: runs(), drains: true, ..awake() };
    assert_eq!(stop.next(None), Action::Drain);
    assert_eq!(Small { drains: false, ..stop }.next(None), Action::Stop, "hurried, or over");
    let restart = Small { container: runs(), drains: true, ..awake() };
    assert_eq!(restart.next(None), Action::Drain);
    assert_eq!(Small { isolated: false, ..restart.clone() }.next(None), Action::Stop, "cut off, it finishes nothing");
    let mut weak = runs();
    weak.iter_mut().for_each(|container| container.breaches.push("it is privileged".to_owned()));
    assert_eq!(Small { container: weak, ..restart }.next(None), Action::Stop, "behind walls that are not ours nothing runs on");
}

#[test]
fn one_that_does_not_take_its_agreement_back_is_given_up_in_time() {
    let runs = Some(made(REVISION, "now", ContainerState::Running { since: beginning(), address: None }));
    let mut world = Small { desired: DesiredState::Running, phase: Phase::Waking, container: runs, ..awake() };
    assert_eq!(world.next(None), Action::Resume);
    let woken = world.now;
    world.now += Duration::seconds(61);
    assert_eq!(world.next(None), Action::Resume, "it was woken this moment");
    assert_eq!(world.next_since(woken, None), Action::Fail(Cause::Slow { deadline: Duration::seconds(60), out_of_memory: None }));
}

#[test]
fn what_was_ended_with_its_machine_failed_at_nothing() {
    let ended = Some(made(REVISION, "now", ContainerState::Ended { code: 255, out_of_memory: false }));
    let world = Small { container: ended, restarted: Some(Restarted::Machine), ..awake() };
    assert_eq!(world.clone().settle(true)[..3], [Action::Recover(Restarted::Machine), Action::Remove, Action::Create]);
    // One that ended on the way down is cleared away first, and failed at nothing either; one that was asked to stop is let go.
    let mut going_down = Small { phase: Phase::Retrying, ..world.clone() };
    assert_eq!(going_down.settle(true)[..3], [Action::Remove, Action::Recover(Restarted::Machine), Action::Create]);
    let (now, before) = (world.now, world.now - Duration::seconds(3));
    assert_eq!([0, 1, 3].map(|attempts| remembered_after_restart(attempts, Phase::Retrying, before, now)), [0, 0, 2]);
    assert_eq!(remembered_after_restart(2, Phase::Ready, before, now), 2, "those that another try followed still count");
    assert_eq!(Small { desired: DesiredState::Stopped, ..world.clone() }.next(None), Action::Remove);
    let asleep = Small { phase: Phase::Asleep, depth: Some(SleepDepth::Frozen), ..world };
    assert_eq!(asleep.next(None), Action::Sink, "it sleeps on");
}

#[test]
fn who_waits_far_behind_asks_less_often_and_never_comes_late() {
    let seconds = |ahead, starts| turn_again(ahead, starts).as_secs();
    assert_eq!((seconds(0, 2), seconds(1, 2), seconds(2, 2), seconds(9, 2)), (1, 1, 2, 5));
    assert_eq!((seconds(10_000, 2), seconds(10_000, 10_000), seconds(9, 0), seconds(-1, 1)), (300, 300, 10, 1));
}

#[test]
fn starting_twice_is_starting_once() {
    assert_eq!(start_disposition(DesiredState::Running, Phase::Waiting), StartDisposition::AlreadyStarted);
    assert_eq!(start_disposition(DesiredState::Running, Phase::Ready), StartDisposition::AlreadyStarted);
    assert_eq!(start_disposition(DesiredState::Running, Phase::Failed), StartDisposition::Start);
    assert_eq!(start_disposition(DesiredState::Stopped, Phase::Stopping), StartDisposition::Start);
    assert_eq!(start_disposition(DesiredState::Deleted, Phase::Deleting), StartDisposition::Leaving);
    assert_eq!(start_disposition(DesiredState::Running, Phase::Asleep), StartDisposition::Wake);
}
