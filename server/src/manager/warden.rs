//! A runtime manager's side of its socket: who may speak, what may be asked, and nothing else done.
//!
//! The kernel says who is at the other end (`SO_PEERCRED`): no other account gets a word in, even one that the token leaked to. The token tells the server
//! from whatever else that account runs and cannot read the token's file. Past both, every value is judged by the manager's own [`Allowance`], and a method
//! that is not the engine's does not exist: there is no word for a mount, a device, a capability or a network of the host.

use super::{
    Engine,
    allowance::Allowance,
    bounded::Bounded,
    wire::{self, Call, Fault, Request},
};
use crate::{Error, Result};
use contract::{Code, Problem};
use futures::{StreamExt as _, stream::BoxStream};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{collections::BTreeSet, io, sync::Arc, time::Duration};
use subtle::ConstantTimeEq as _;
use tokio::{
    io::AsyncReadExt as _,
    net::{UnixListener, UnixStream},
    sync::{RwLock, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a caller may take to say what it wants, and to take what it is answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests at once; more wait.
const AT_ONCE: usize = 256;
/// Streams at once (logs that are followed, events); more are refused.
const STREAMS: usize = 4096;
/// How long requests in progress may take to end at a stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Stands before an engine.
pub struct Warden {
    engine: Bounded,
    allowance: Allowance,
    token: SecretString,
    users: BTreeSet<u32>,
    /// Held while a container is made, wholly while it is asked whether there is one.
    making: RwLock<()>,
    streams: Semaphore,
}

/// What is answered.
enum Answer {
    Once(Box<RawValue>),
    /// One after the other, until the engine or the caller ends.
    Many(BoxStream<'static, Box<RawValue>>),
}

impl Warden {
    /// Before this engine: for programs of the accounts `users` that know the token, within the allowance.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, allowance: Allowance, token: SecretString, users: BTreeSet<u32>) -> Self {
        Self { engine: Bounded::new(engine), allowance, token, users, making: RwLock::default(), streams: Semaphore::new(STREAMS) }
    }

    /// Answers until `stop`, then lets requests in progress end.
    pub async fn serve(self: Arc<Self>, listener: UnixListener, stop: CancellationToken) {
        let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(AT_ONCE)));
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = async {
                    let place = Arc::clone(&places).acquire_owned().await;
                    (listener.accept().await, place)
                } => accepted,
            };
            let (stream, place) = match accepted {
                (Ok((stream, _)), place) => (stream, place),
                (Err(error), _) => {
                    // Out of files, say: it passes, and a loop without rest would not help it.
                    tracing::error!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (this, stop) = (Arc::clone(&self), stop.clone());
            tasks.spawn(async move {
                if let Err(error) = this.attend(stream, &stop, place).await {
                    tracing::debug!(%error, "a caller went away before its answer");
                }
            });
        }
        tasks.close();
        if tokio::time::timeout(LAST_REQUESTS, tasks.wait()).await.is_err() {
            tracing::warn!("requests that were still in progress were cut");
        }
    }

    async fn attend(&self, mut stream: UnixStream, stop: &CancellationToken, place: impl Send) -> io::Result<()> {
        let answered = match self.hear(&mut stream).await {
            // What was begun is done, whether or not anybody waits for it: half of it helps nobody.
            Ok(request) => self.answer(request).await.map_err(Fault::from),
            Err(fault) => Err(fault),
        };
        match answered {
            Ok(Answer::Once(value)) => say(&mut stream, Ok(value)).await,
            Ok(Answer::Many(items)) => {
                // It may go on for days: the place is for whoever asks next.
                drop(place);
                let Ok(_goes_on) = self.streams.try_acquire() else {
                    return say(&mut stream, Err(Fault::Refused(format!("{STREAMS} streams are open already.")))).await;
                };
                say(&mut stream, Ok(raw(&())?)).await?;
                tell(stream, items, stop).await
            }
            Err(fault) => {
                if let Fault::Refused(reason) = &fault {
                    let caller = stream.peer_cred().ok();
                    let (uid, pid) = (caller.map(|caller| caller.uid()), caller.and_then(|caller| caller.pid()));
                    tracing::warn!(uid, pid, reason, "a caller was refused");
                }
                say(&mut stream, Err(fault)).await
            }
        }
    }

    /// What the caller wants, when it is one that may want something.
    async fn hear(&self, stream: &mut UnixStream) -> Result<Request, Fault> {
        let refused = |reason: &str| Fault::Refused(reason.to_owned());
        let user = stream.peer_cred().map_err(|_| refused("The kernel does not say who asks."))?.uid();
        if !self.users.contains(&user) {
            return Err(Fault::Refused(format!(
                "The account {user} may not ask the runtime manager; CLAWLOOPS_MANAGER_USER names who may."
            )));
        }
        let frame = match tokio::time::timeout(PATIENCE, wire::receive(stream, wire::LONGEST_REQUEST)).await {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) => return Err(refused("Nothing was asked.")),
            Ok(Err(error)) => return Err(Fault::Refused(format!("The request cannot be read: {error}."))),
            Err(_) => return Err(refused("The request did not come whole in time.")),
        };
        // What serde says of a wrong request may quote it, so it is not repeated.
        let call: Call = serde_json::from_slice(&frame).map_err(|_| refused("The request cannot be understood."))?;
        if !bool::from(call.token.as_bytes().ct_eq(self.token.expose_secret().as_bytes())) {
            return Err(refused("The token is not the runtime manager's."));
        }
        if call.version != wire::VERSION {
            let reason = format!("The server is version {}, the runtime manager {}. Run both from one build.", call.version, wire::VERSION);
            return Err(Fault::Refused(reason));
        }
        serde_json::from_str(call.request.get()).map_err(|_| refused("The request is none of the engine's."))
    }

    async fn answer(&self, request: Request) -> Result<Answer> {
        let engine = &self.engine;
        match request {
            Request::Health => once(engine.health().await),
            Request::Capacity => once(engine.capacity().await),
            Request::Workspaces => once(engine.workspaces().await),
            Request::HasImage { image } => {
                self.allowance.image(&image)?;
                once(engine.has_image(&image).await)
            }
            Request::Survey => once(engine.survey().await),
            Request::Look { runtime_id } => once(engine.look(runtime_id).await),
            Request::Isolate { runtime_id } => once(engine.isolate(runtime_id).await),
            Request::Release { runtime_id } => once(engine.release(runtime_id).await),
            Request::KeepWorkspace { workspace } => {
                self.allowance.workspace(&workspace)?;
                once(engine.keep_workspace(&workspace).await)
            }
            Request::MeasureWorkspace { workspace } => {
                self.allowance.workspace(&workspace)?;
                once(engine.measure_workspace(&workspace).await)
            }
            Request::WipeWorkspace { workspace } => {
                self.allowance.workspace(&workspace)?;
                once(engine.wipe_workspace(&workspace).await)
            }
            Request::Configure { runtime_id, configuration } => {
                Allowance::configuration(&configuration)?;
                once(engine.configure(runtime_id, &configuration).await)
            }
            Request::Create { spec } => {
                self.allowance.spec(&spec)?;
                let _making = self.making.read().await;
                // Looks whether the workspace bears this installation's labels: somebody else's volume of that name is not to be mounted.
                engine.keep_workspace(&spec.workspace).await?;
                once(engine.create(&spec).await)
            }
            Request::Start { runtime_id } => once(engine.start(runtime_id).await),
            Request::IsReady { runtime_id } => once(engine.is_ready(runtime_id).await),
            Request::Stop { runtime_id, grace } => {
                Allowance::grace(grace)?;
                once(engine.stop(runtime_id, grace).await)
            }
            Request::Freeze { runtime_id } => once(engine.freeze(runtime_id).await),
            Request::Thaw { runtime_id } => once(engine.thaw(runtime_id).await),
            Request::Update { runtime_id, limits } => {
                self.allowance.limits(&limits)?;
                once(engine.update(runtime_id, &limits).await)
            }
            Request::Remove { runtime_id } => once(engine.remove(runtime_id).await),
            Request::Stats { runtime_id } => once(engine.stats(runtime_id).await),
            Request::Logs { runtime_id, lines } => {
                Allowance::lines(lines)?;
                once(engine.logs(runtime_id, lines).await)
            }
            Request::Output { runtime_id, since, follow } => Ok(Answer::Many(many(engine.output(runtime_id, since, follow).await?))),
            Request::HoldWalls => once(engine.hold_walls().await),
            Request::LiftWalls => {
                let _none_is_made = self.making.write().await;
                if engine.survey().await?.values().any(|seen| seen.container.is_some()) {
                    return Err(Problem::new(Code::Conflict, "The walls stay: there are runtimes behind them.").into());
                }
                once(engine.lift_walls().await)
            }
            Request::Events => Ok(Answer::Many(many(engine.events().await?))),
        }
    }
}

fn raw(value: &impl Serialize) -> serde_json::Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value)
}

fn once<T: Serialize>(answered: Result<T>) -> Result<Answer> {
    let value = raw(&answered?).map_err(|error| Error::internal("writing an answer", error))?;
    Ok(Answer::Once(value))
}

fn many<T: Serialize + Send + 'static>(items: BoxStream<'static, T>) -> BoxStream<'static, Box<RawValue>> {
    items.filter_map(async |item| raw(&item).ok()).boxed()
}

async fn say(stream: &mut UnixStream, answer: Result<Box<RawValue>, Fault>) -> io::Result<()> {
    let frame = serde_json::to_vec(&answer)?;
    tokio::time::timeout(PATIENCE, wire::send(stream, &frame)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Says one item after the other until they end, the caller goes, or the manager stops.
async fn tell(mut stream: UnixStream, mut items: BoxStream<'static, Box<RawValue>>, stop: &CancellationToken) -> io::Result<()> {
    loop {
        let mut more = [0; 1];
        let item = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            // A caller says nothing more, so this is its end.
            _ = stream.read(&mut more) => return Ok(()),
            item = items.next() => item,
        };
        let Some(item) = item else { return Ok(()) };
        say(&mut stream, Ok(item)).await?;
    }
}
