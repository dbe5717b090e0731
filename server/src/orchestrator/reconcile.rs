//! One step of one runtime: look, decide, act. Every effect may be the last before a crash; the next look finds out.

use super::{
    Orchestrator,
    decide::{self, Action, Cause, Facts, Verdict},
    glance::{Beside, Glance},
    memory,
    rest::Rest,
    store::{Admission, RuntimeKey},
};
use crate::{
    Error, Result,
    data::{
        runtime::{Noted, Row},
        transition_history::{Lesson, Transition},
    },
    manager::{ContainerState, Seen},
    platform::quotas,
    runtime::{mask, spec::RuntimeSpec, token},
};
use contract::{Code, DesiredState, Phase, Problem, RuntimeId, StartStep, TaskKind};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use std::{sync::Arc, time::Duration};

/// The exit code of what the kernel ended on our word (128 + SIGKILL).
const KILLED: i64 = 137;
/// A runtime that goes for good need not say good-bye for long.
const DELETE_GRACE: Duration = Duration::from_secs(5);
/// How soon an engine that does not answer is tried again.
const ENGINE_AGAIN: Duration = Duration::from_secs(1);
/// The longest sleep before a runtime that waits is looked at again.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// How soon what the engine refused is looked at again.
const AFTER_NO: Duration = Duration::from_secs(1);
/// A runtime that needs longer to say that it is ready answers slowly.
const SLOW: Duration = Duration::from_secs(3);
/// How much of the log a problem quotes, in lines and characters.
const QUOTED_LINES: usize = 3;
const QUOTED_CHARACTERS: usize = 300;

/// What follows a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look again at once.
    Again,
    /// Look again after this long, or when something changes.
    After(Duration),
    /// Nothing to do until something changes.
    Rest,
}

impl Orchestrator {
    /// Looks at a runtime and does the one next thing.
    pub async fn step(&self, runtime_id: RuntimeId) -> Result<Next> {
        self.step_after(runtime_id, None).await
    }

    /// The same with what was read for it already, where that may be used still.
    pub(super) async fn step_after(&self, runtime_id: RuntimeId, glance: Option<Box<Glance>>) -> Result<Next> {
        match glance.filter(|glance| glance.holds()) {
            Some(glance) => self.step_of(&glance.row, Some(&glance.beside)).await,
            None => match self.store.get(runtime_id).await? {
                Some(row) => self.step_of(&row, None).await,
                None => Ok(Next::Rest),
            },
        }
    }

    async fn step_of(&self, row: &Row, beside: Option<&Beside>) -> Result<Next> {
        match self.look_and_act(row, beside).await {
            Err(error @ Error::Engine { .. }) => {
                self.say_engine_is_silent(row, &error).await?;
                Ok(Next::After(ENGINE_AGAIN))
            }
            Err(error @ Error::Database(_)) => Err(error),
            // The engine said no, or we could not: a failed try when something was to start, said otherwise.
            Err(error) => {
                let problem = Problem::from(error);
                let waits = row.retry_at.is_some_and(|at| at > self.clock.now());
                if row.desired_state == DesiredState::Running
                    && !matches!(row.phase, Phase::Ready | Phase::Asleep | Phase::Failed)
                    && !waits
                {
                    self.fail(row, problem).await?;
                } else if row.problem.as_ref().map(|known| &known.message) != Some(&problem.message) {
                    self.note(row, row.phase, Some(&problem)).await?;
                }
                // Never at once: what failed without a wait fails again, and would eat all tries in a moment.
                Ok(Next::After(AFTER_NO))
            }
            next => next,
        }
    }

    async fn look_and_act(&self, row: &Row, beside: Option<&Beside>) -> Result<Next> {
        let seen = self.engine.look(row.runtime_id).await?;
        let wanted = match (&seen.isolation, row.desired_state) {
            (Some(isolation), DesiredState::Running) => {
                let offer = match beside {
                    Some(beside) => Arc::clone(&beside.offer),
                    None => Arc::new(self.offer().await?),
                };
                Some(self.configuration(row, isolation.gateway, &offer, seen.configuration.as_deref())?)
            }
            _ => None,
        };
        let spec = self.spec(row);
        let lesson = match row.phase {
            // Nothing is waited for that could take too long.
            Phase::Ready | Phase::Asleep => Lesson::default(),
            phase => self.store.lesson(Transition::of(phase).unwrap_or(Transition::Start), &row.image).await?,
        };
        let hash = spec.hash();
        let mut facts = facts(row, &seen, self.rest(row), (&spec, &hash), wanted.as_deref());
        let crowd = self.room().await.map_or(1, |room| room.starts_a_core);
        facts.deadline = decide::deadline(lesson.p95_ms, row.attempts, crowd);
        facts.now = self.clock.now();
        self.remember_seen(row, &seen, facts.current).await?;
        let drift = decide::drift::compare(&facts);
        if drift.changed != row.changed || drift.restart_brings != row.restart_brings {
            self.store.compare(row, &drift, facts.now).await?;
        }
        let mut action = (self.decide)(&facts);
        if action == Action::Adjust {
            self.put_limits_back(row, &spec, facts.changing).await?;
            facts.adjusted = true;
            action = (self.decide)(&facts);
        }
        if action == Action::Drain {
            facts.drained = Some(self.drained(row, &seen).await?);
            action = (self.decide)(&facts);
        }
        if action == Action::Resume && self.resume(row, &seen).await {
            facts.resumed = true;
            action = (self.decide)(&facts);
        }
        if action == Action::Ask {
            if !matches!(row.phase, Phase::Waiting | Phase::Waking) {
                self.begin(row, StartStep::Wait, Phase::Waiting).await?;
            }
            facts.ready = Some(self.engine.is_ready(row.runtime_id).await?);
            action = (self.decide)(&facts);
        }
        let has_key = beside.is_some_and(|beside| beside.has_key);
        self.act(row, &seen, wanted.as_deref(), &spec, has_key, action).await
    }

    async fn act(&self, row: &Row, seen: &Seen, wanted: Option<&str>, spec: &RuntimeSpec, has_key: bool, action: Action) -> Result<Next> {
        let id = row.runtime_id;
        match action {
            Action::Rest(phase) => {
                let problem = match phase {
                    Phase::Ready => self.slowness(row).await,
                    Phase::Failed => row.problem.as_ref().map(|problem| problem.0.clone()),
                    Phase::Stopped => {
                        row.problem.as_ref().map(|problem| problem.0.clone()).filter(|problem| problem.code == Code::RuntimeKilled)
                    }
                    _ => None,
                };
                if phase == Phase::Ready && !has_key {
                    self.keep_key(row).await?;
                }
                if phase == Phase::Asleep && seen.container.is_some() && row.agreed_until.is_some() {
                    self.store.froze(row).await?;
                }
                // Without a container no memory is held.
                let holds = phase == Phase::Ready || (phase == Phase::Asleep && seen.container.is_some());
                let noted = Noted { phase, problem: problem.as_ref(), attempts: row.attempts, retry_at: row.retry_at, holds };
                if noted.is_news(row) {
                    self.store.note(row, &noted, self.clock.now()).await?;
                }
                if matches!(phase, Phase::Ready | Phase::Asleep) {
                    self.watched.note(id, phase, self.rest(row));
                }
                return Ok(Next::Rest);
            }
            Action::Wait(time) => return Ok(Next::After(Duration::try_from(time).unwrap_or(Duration::ZERO).min(LONGEST_WAIT))),
            // Just asked, or just done.
            Action::Ask | Action::Adjust | Action::Drain | Action::Resume => return Ok(Next::After(ENGINE_AGAIN)),
            Action::Doze(depth) => return self.doze(row, seen, depth).await,
            Action::Freeze => return self.freeze(row).await,
            Action::Sink => self.sink(row).await?,
            Action::Wake => self.note(row, Phase::Waking, None).await?,
            Action::Thaw => self.engine.thaw(id).await?,
            Action::Queue => return self.queue(row).await,
            Action::Place => {
                self.begin(row, StartStep::Place, Phase::Creating).await?;
                self.engine.keep_workspace(&row.volume).await?;
                let isolation = self.engine.isolate(id).await?;
                self.doors.open(isolation.gateway).await?;
                let text = self.configuration(row, isolation.gateway, &self.offer().await?, None)?;
                self.write_configuration(row, &text).await?;
            }
            Action::Create => {
                self.begin(row, StartStep::Create, Phase::Creating).await?;
                self.engine.keep_workspace(&row.volume).await?;
                self.engine.create(spec).await?;
            }
            Action::Start => {
                self.begin(row, StartStep::Start, Phase::Starting).await?;
                if let Some(isolation) = seen.isolation {
                    self.doors.open(isolation.gateway).await?;
                }
                self.remember_start(row, seen).await?;
                self.engine.start(id).await?;
                if let Some(logs) = &self.logs {
                    logs.follow(id);
                }
            }
            Action::Welcome => {
                self.welcome(row).await?;
                return Ok(Next::Rest);
            }
            Action::Configure => {
                if let Some(text) = wanted {
                    self.write_configuration(row, text).await?;
                }
            }
            Action::Recover(restarted) => return self.recover(row, seen, restarted).await,
            Action::Fail(cause) => {
                let problem = self.explain(row, &cause).await?;
                self.fail(row, problem).await?;
            }
            Action::Stop => {
                let (phase, hasty) = match (row.desired_state, row.phase) {
                    (DesiredState::Deleted, _) => (Phase::Deleting, true),
                    (DesiredState::Stopped | DesiredState::Running, kept @ (Phase::Retrying | Phase::Failed)) => (kept, true),
                    (DesiredState::Running, Phase::Asleep) => (Phase::Asleep, false),
                    (DesiredState::Stopped | DesiredState::Running, _) => (Phase::Stopping, false),
                };
                let grace = if hasty { DELETE_GRACE } else { self.grace(row).await? };
                if phase != row.phase {
                    self.note(row, phase, None).await?;
                }
                self.engine.stop(id, grace).await?;
            }
            Action::Remove => {
                if let Some(ContainerState::Ended { code: KILLED, out_of_memory: false }) =
                    seen.container.as_ref().map(|found| &found.state)
                    && row.phase == Phase::Stopping
                {
                    let problem = self.explain_killed(row).await?;
                    self.note(row, Phase::Stopping, Some(&problem)).await?;
                }
                if let Some(logs) = &self.logs {
                    logs.take_last(id).await;
                }
                self.engine.remove(id).await?;
            }
            Action::Release => self.engine.release(id).await?,
            Action::Finish { wipe } => {
                if wipe {
                    self.engine.wipe_workspace(&row.volume).await?;
                }
                self.store.finish(row, self.clock.now()).await?;
                if let Some(logs) = &self.logs
                    && let Err(error) = logs.forget(id).await
                {
                    tracing::warn!(runtime = %id, error = %crate::error::chain(&error), "the log of a runtime that is gone stays for now");
                }
                return Ok(Next::Rest);
            }
        }
        Ok(Next::Again)
    }

    /// How long this runtime's OpenClaw may take to end by itself.
    async fn grace(&self, row: &Row) -> Result<Duration> {
        let lesson = self.store.lesson(Transition::Stop, &row.image).await?;
        Ok(Duration::try_from(decide::grace(lesson.p95_ms)).unwrap_or(DELETE_GRACE))
    }

    /// What is said of one that missed the deadline of its stop.
    async fn explain_killed(&self, row: &Row) -> Result<Problem> {
        let (grace, words) = (self.grace(row).await?, self.last_words(row.runtime_id).await);
        Ok(Problem::new(
            Code::RuntimeKilled,
            format!("OpenClaw did not end by itself within {} s, and was ended (exit code {KILLED}).{words}", grace.as_secs()),
        )
        .remedy("Your workspace is safe. What it was just doing may be unfinished."))
    }

    /// Whether a runtime that is ready still answers as one. It is never restarted for that: what it does may be worth the wait, and a person decides.
    async fn slowness(&self, row: &Row) -> Option<Problem> {
        let answer = tokio::time::timeout(SLOW, self.engine.is_ready(row.runtime_id)).await;
        match answer {
            Ok(Ok(true)) => None,
            // The engine could not be asked: what was known stays.
            Ok(Err(_)) => row.problem.as_ref().map(|problem| problem.0.clone()),
            Ok(Ok(false)) | Err(_) => {
                Some(Problem::new(Code::RuntimeSlow, format!("OpenClaw runs, and did not answer within {} s.", SLOW.as_secs())).remedy(
                    "It or this machine may be busy; this goes away by itself then. If it stays so, restart it: your workspace is safe.",
                ))
            }
        }
    }

    /// A container whose limits cannot be put back runs on; that it could not is looked at again with the next round. A change of profile is not done
    /// before the engine has done it, and says what the engine says.
    async fn put_limits_back(&self, row: &Row, spec: &RuntimeSpec, changing: bool) -> Result<()> {
        match self.engine.update(row.runtime_id, &spec.limits()).await {
            Err(Error::Problem(problem)) if !changing => {
                tracing::warn!(runtime = %row.runtime_id, "the limits of a runtime could not be put back: {}", problem.message);
                Ok(())
            }
            done => done,
        }
    }

    /// What the runtime's container is made from.
    fn spec(&self, row: &Row) -> RuntimeSpec {
        RuntimeSpec {
            runtime_id: row.runtime_id,
            revision: row.revision,
            image: row.image.clone(),
            workspace: row.volume.clone(),
            memory_bytes: row.memory_bytes,
            cpu_millis: row.cpu_millis,
            pids: row.pids,
            gpu: row.gpu,
            oci_runtime: row.oci_runtime.clone(),
        }
    }

    /// A container that runs has its key for good: what was done to it in the database is put right.
    async fn keep_key(&self, row: &Row) -> Result<()> {
        if self.store.keep_key(row, &stored(&self.key_of(row, row.key_number)?), self.clock.now()).await? {
            tracing::warn!(runtime = %row.runtime_id, "the model key of a runtime that runs was removed or revoked, and is given again");
        }
        Ok(())
    }

    async fn begin(&self, row: &Row, step: StartStep, phase: Phase) -> Result<()> {
        let noted = Noted { phase, problem: memory::interruption(row), attempts: row.attempts, retry_at: None, holds: true };
        self.store.begin_step(row, step, &noted, self.clock.now()).await
    }

    async fn welcome(&self, row: &Row) -> Result<()> {
        let (noted, now) =
            (Noted { phase: Phase::Ready, problem: None, attempts: row.attempts, retry_at: None, holds: true }, self.clock.now());
        // A waking is no start, and teaches nothing about one.
        if row.phase == Phase::Waking {
            self.store.note(row, &noted, now).await?;
            tracing::info!(runtime = %row.runtime_id, name = row.name, "a runtime was woken");
        } else {
            self.store.end_start(row, &noted, now).await?;
            tracing::info!(runtime = %row.runtime_id, name = row.name, "a runtime is ready");
        }
        Ok(())
    }

    /// Asks for a turn. While it waits, its page says so.
    async fn queue(&self, row: &Row) -> Result<Next> {
        let room = self.room().await?;
        match self.store.admit(row, room, self.clock.now()).await? {
            Admission::Admitted | Admission::Moved => Ok(Next::Again),
            Admission::Queued { ahead } => {
                self.note(row, Phase::Queued, memory::interruption(row)).await?;
                Ok(Next::After(decide::turn_again(ahead, room.starts)))
            }
            Admission::TooLarge => {
                let (wants, has) = (in_gib(row.memory_bytes), in_gib(room.memory_bytes));
                let problem = Problem::new(
                    Code::QuotaExceeded,
                    format!("This runtime wants {wants} GiB of memory, and this machine gives {has} GiB to all runtimes together."),
                )
                .remedy("Ask your administrator for a smaller profile, or for a larger budget.");
                self.note(row, Phase::Failed, Some(&problem)).await?;
                Ok(Next::Again)
            }
        }
    }

    /// Notes a phase.
    pub(super) async fn note(&self, row: &Row, phase: Phase, problem: Option<&Problem>) -> Result<()> {
        let noted = Noted { phase, problem, attempts: row.attempts, retry_at: row.retry_at, holds: true };
        self.store.note(row, &noted, self.clock.now()).await
    }

    /// Notes a failed try and what follows.
    async fn fail(&self, row: &Row, mut problem: Problem) -> Result<()> {
        let now = self.clock.now();
        // Differs from runtime to runtime and from try to try, and is the same when a schedule of the simulation is played again.
        let luck = row.name.bytes().fold(row.attempts.to_le_bytes()[0], |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        let (phase, attempts, retry_at) = match decide::after_failure(row.attempts, row.phase, row.phase_since, luck, now) {
            Verdict::Retry { attempts, at } => (Phase::Retrying, attempts, Some(at)),
            Verdict::GiveUp { attempts } => {
                problem.message = format!("Gave up after {attempts} tries. {}", problem.message);
                (Phase::Failed, attempts, None)
            }
        };
        tracing::warn!(runtime = %row.runtime_id, attempts, code = %problem.code, "a try to run a runtime failed: {}", problem.message);
        let noted = Noted { phase, problem: Some(&problem), attempts, retry_at, holds: true };
        self.store.note(row, &noted, now).await
    }

    async fn say_engine_is_silent(&self, row: &Row, error: &Error) -> Result<()> {
        let problem = silent_engine();
        // Said once, when it begins.
        if row.problem.as_ref().map(|said| &said.0) != Some(&problem) {
            tracing::warn!(runtime = %row.runtime_id, error = %crate::error::chain(error), "the container engine does not answer");
        }
        match row.phase {
            // It runs, as far as anybody knows.
            Phase::Ready | Phase::Asleep | Phase::Stopped | Phase::Failed | Phase::Retrying | Phase::Deleted => Ok(()),
            Phase::Pending
            | Phase::Queued
            | Phase::Creating
            | Phase::Starting
            | Phase::Waiting
            | Phase::Waking
            | Phase::Draining
            | Phase::Stopping
            | Phase::Deleting => self.note(row, row.phase, Some(&problem)).await,
        }
    }

    async fn explain(&self, row: &Row, cause: &Cause) -> Result<Problem> {
        let words = self.last_words(row.runtime_id).await;
        Ok(match cause {
            Cause::Ended { code, out_of_memory: true } => out_of_memory(row, &format!("It ended with exit code {code}.{words}")),
            Cause::Ended { out_of_memory: false, .. } if says_disk_is_full(&words) => {
                Problem::new(Code::RuntimeStartFailed, format!("OpenClaw found no room on its disk, and ended.{words}"))
                    .remedy("Your workspace is safe. Room must be made on this machine's disk: ask your administrator.")
            }
            Cause::Ended { code, out_of_memory: false } if row.phase == Phase::Ready && row.attempts > 0 => Problem::new(
                Code::RuntimeFlapping,
                format!(
                    "OpenClaw keeps ending soon after it is ready: {} times in a row, now with exit code {code}.{words}",
                    row.attempts + 1
                ),
            )
            .remedy("Your workspace is safe. Something that it does when it runs ends it; the log says more."),
            Cause::Ended { code, out_of_memory: false } => {
                Problem::new(Code::RuntimeStartFailed, format!("OpenClaw ended by itself with exit code {code}.{words}"))
                    .remedy("Your workspace is safe. The log says more.")
            }
            Cause::Changed { what } => Problem::new(
                Code::RuntimeStartFailed,
                format!("Somebody changed this runtime's container by hand: {what}. It was ended, and is made anew."),
            )
            .remedy("Your workspace is safe. If it happens again, ask whoever administers this machine."),
            Cause::Slow { deadline, out_of_memory: Some(true) } => {
                let slow = format!("A process inside was ended for that, and it was not ready after {} s.", deadline.whole_seconds());
                out_of_memory(row, &format!("{slow}{words}"))
            }
            Cause::Slow { deadline, out_of_memory } => {
                let memory = if out_of_memory.is_some() { ", and had memory enough" } else { "" };
                Problem::new(Code::RuntimeNotReady, format!("OpenClaw was not ready after {} s{memory}.{words}", deadline.whole_seconds()))
                    .remedy("This machine may be busy: the next try has more time. Your workspace is safe. The log says more.")
            }
        })
    }

    /// The end of the log, for a problem. That it cannot be read is no second problem.
    async fn last_words(&self, runtime_id: RuntimeId) -> String {
        let lines = self.engine.logs(runtime_id, QUOTED_LINES).await.unwrap_or_default();
        let text = lines.iter().map(|line| mask::keys(line.trim())).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" / ");
        let skip = text.chars().count().saturating_sub(QUOTED_CHARACTERS);
        if text.is_empty() { String::new() } else { format!(" Its last words: {}", text.chars().skip(skip).collect::<String>()) }
    }
}

/// The way on of whoever ran out of memory is a larger profile: the page has a button for it.
fn out_of_memory(row: &Row, more: &str) -> Problem {
    let message = format!("OpenClaw ran out of memory ({}). Ask for a larger profile. {more}", quotas::size(row.memory_bytes));
    Problem::new(Code::OutOfMemory, message).remedy("Your workspace is safe.")
}

/// What is stored of a runtime's key.
pub(super) fn stored(key: &token::RuntimeKey) -> RuntimeKey<'_> {
    RuntimeKey { public_id: &key.public_id, secret_hash: Sha256::digest(key.secret.expose_secret().as_bytes()).into() }
}

/// Whether a program's last words are that nothing can be written any more.
fn says_disk_is_full(words: &str) -> bool {
    ["ENOSPC", "EDQUOT", "no space left on device", "disk quota exceeded", "database or disk is full"]
        .iter()
        .any(|sign| words.to_ascii_lowercase().contains(&sign.to_ascii_lowercase()))
}

/// Bytes in GiB with one decimal, as people read it.
fn in_gib(bytes: i64) -> String {
    let tenths = bytes / (1024 * 1024) * 10 / 1024;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What is said while the engine does not answer.
pub(super) fn silent_engine() -> Problem {
    Problem::new(Code::Unavailable, "The container engine does not answer. Your workspace is safe; this goes on by itself once it is back.")
        .remedy("If it lasts, tell your administrator.")
}

/// The facts of a runtime without time: deadline and clock are the caller's to set. `spec` comes with its hash.
fn facts<'a>(row: &Row, seen: &'a Seen, rest: Rest, (spec, spec_hash): (&'a RuntimeSpec, &'a str), wanted: Option<&str>) -> Facts<'a> {
    Facts {
        desired: row.desired_state,
        retention: row.retention,
        phase: row.phase,
        phase_since: row.phase_since,
        rest,
        drain_until: row.drain_until,
        drained: None,
        resumed: false,
        revision: row.revision,
        spec_hash,
        spec,
        changing: row.open_task == Some(TaskKind::ChangeProfile),
        adjusted: false,
        retry_at: row.retry_at,
        admitted: row.admitted_at.is_some() && row.held_bytes == row.memory_bytes,
        deadline: time::Duration::ZERO,
        container: seen.container.as_ref(),
        isolated: seen.isolation.is_some(),
        configured: seen.configuration.is_some(),
        current: wanted.is_some() && seen.configuration.as_deref() == wanted,
        edited: memory::is_edited(row, seen) && seen.configuration.as_deref() != wanted,
        restarted: memory::restarted(row, seen),
        ready: None,
        now: time::OffsetDateTime::UNIX_EPOCH,
    }
}
