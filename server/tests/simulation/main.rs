//! The whole orchestrator, played: its real driver, reconciler, commands and decisions, over a simulated engine, database and time.
//!
//! Every schedule comes from a seed. In each, people press buttons for ninety seconds while servers are started, stopped and killed between any two
//! effects, two of them lead at once, answers come late, never, or lie, events are lost, lists are stale and containers die behind everybody's back. Then it
//! becomes quiet, and everything must come to what was asked, with nothing left over. A failure prints its seed; `make sim SEED=n` plays it again, and
//! `make sim` plays as many as one likes.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test says what it wants by failing, tells how far it is, and takes its size from `make sim`"
)]

mod breaks;
mod claw;
mod dice;
mod engine;
mod invariants;
mod store;
mod tables;
mod world;

use breaks::Break;
use invariants::{Invariant, Wrong};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

/// How many schedules a run of the tests plays.
const SCHEDULES: u64 = 10_000;
/// Within so many schedules every break must be noticed.
const TRIES: u64 = 3000;

/// Within this a crash is seen.
const CRASH_SEEN: Duration = Duration::from_secs(2);
/// And within this the next try has begun.
const CRASH_BEGUN: Duration = Duration::from_secs(5);

/// A number from the environment: for `make sim`.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
}

/// Plays schedules on all cores; the first that fails, with what is wrong.
fn play_all(first: u64, count: u64, broken: Break) -> Option<(u64, Wrong)> {
    let next = AtomicU64::new(first);
    let (end, cores) = (first + count, thread::available_parallelism().unwrap().get());
    let play = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return None;
            }
            if (seed - first + 1).is_multiple_of(100_000) {
                println!("{} schedules", seed - first + 1);
            }
            if let Err(wrong) = world::play(seed, broken) {
                next.store(end, Ordering::Relaxed);
                return Some((seed, wrong));
            }
        }
    };
    thread::scope(|scope| {
        let players: Vec<_> = (0..cores).map(|_| scope.spawn(play)).collect();
        players.into_iter().filter_map(|player| player.join().unwrap()).min()
    })
}

#[test]
fn every_schedule_ends_as_desired() {
    let (first, count) = match setting("CLAWLOOPS_SIM_SEED") {
        Some(seed) => {
            tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(std::io::stderr).init();
            (seed, 1)
        }
        None => (1, setting("CLAWLOOPS_SIM_SCHEDULES").unwrap_or(SCHEDULES)),
    };
    if let Some((seed, wrong)) = play_all(first, count, Break::None) {
        panic!("schedule {seed}: {wrong}\nPlay it again: make sim SEED={seed}");
    }
}

#[test]
fn a_schedule_plays_the_same_way_twice() {
    // A break is found under the same seed with the same words.
    let first = play_all(1, TRIES, Break::AlwaysWipes).unwrap();
    assert_eq!(world::play(first.0, Break::AlwaysWipes), Err(first.1));
}

/// What is promised of a crash, in the simulation's own time: however busy the machine is that plays it.
#[test]
fn a_crash_is_seen_and_the_next_try_begun_in_time() {
    let (mut seen_last, mut begun_last) = (Duration::ZERO, Duration::ZERO);
    for seed in 1..=200 {
        let (seen, begun) = world::crash(seed);
        assert!(seen <= CRASH_SEEN && begun <= CRASH_BEGUN, "schedule {seed}: seen after {seen:?}, begun after {begun:?}");
        (seen_last, begun_last) = (seen_last.max(seen), begun_last.max(begun));
    }
    println!("a crash was seen after {seen_last:?}, the next try begun after {begun_last:?}, at the latest");
}

/// Each by the invariant that it is there for, and no invariant without a break that it notices.
#[test]
fn every_break_is_noticed_by_its_invariant() {
    let mut noticed = BTreeSet::new();
    for broken in Break::ALL {
        let (by, also) = broken.noticed_by();
        let (mut first, last) = (broken.first_tried(), broken.first_tried() + TRIES - 1);
        let (seed, wrong) = loop {
            let Some((seed, wrong)) = play_all(first, (last + 1).saturating_sub(first), broken) else {
                panic!("{broken:?} is not noticed by {by:?} within {TRIES} schedules");
            };
            assert!(
                wrong.invariant == by || also.contains(&wrong.invariant),
                "{broken:?} in schedule {seed} is not expected to break {wrong}"
            );
            noticed.insert(wrong.invariant);
            if wrong.invariant == by {
                break (seed, wrong);
            }
            first = seed + 1;
        };
        println!("{broken:?}: schedule {seed}: {wrong}");
    }
    let unnoticed: Vec<Invariant> = Invariant::ALL.into_iter().filter(|invariant| !noticed.contains(invariant)).collect();
    assert_eq!(unnoticed, [], "no break shows that these can fail");
}
