//! Two servers, processes of their own, on one database and one engine: whatever becomes of the one that leads, the other one takes over, pages are
//! served all the while, and what runs runs on.

use super::{
    process::{Server, free_port, serve, wishes},
    storm::compare,
    world::{self, BOOT, World},
};
use bollard::query_parameters::EventsOptionsBuilder;
use contract::{Phase, RuntimeId};
use futures::StreamExt as _;
use nix::sys::signal::Signal;
use server::{
    data::{Pool, lead},
    manager::names,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// What is promised.
const TAKEOVER: Duration = Duration::from_secs(10);
/// How long a page may take on a busy machine.
const PAGE: Duration = Duration::from_secs(5);

#[sqlx::test(migrations = "../migrations")]
async fn another_server_takes_over_and_what_runs_runs_on(pool: Pool) {
    world::play(pool, taken_over).await;
}

async fn taken_over(world: &World) {
    let began = now().to_string();
    let wishes = wishes(world);
    let first = serve(world, free_port());
    let id = wishes.create(&world.caller, "Main", None).await.unwrap();
    let other = wishes.create(&world.caller, "Other", None).await.unwrap();
    world.until(id, Phase::Ready, BOOT).await;
    world.until(other, Phase::Ready, BOOT).await;
    let started_at = since(world, id).await;

    // Killed: its lock goes with its connection.
    let second = serve(world, free_port());
    let pages = Pages::of(&second).await;
    let leads = leader(world).await.expect("the first one leads");
    drop(first);
    wishes.stop(&world.caller, other).await.unwrap();
    another_leads(world, leads).await;
    world.until(other, Phase::Stopped, BOOT).await;
    pages.were_served().await;

    // Standing still: alive, with every connection open, and silent.
    let third = serve(world, free_port());
    let pages = Pages::of(&third).await;
    let leads = leader(world).await.expect("the second one leads");
    second.signal(Signal::SIGSTOP);
    wishes.start(&world.caller, other).await.unwrap();
    another_leads(world, leads).await;
    world.until(other, Phase::Ready, BOOT).await;
    // It goes on where it was, finds that it does not lead any more, and serves pages.
    second.signal(Signal::SIGCONT);
    pages.were_served().await;
    let pages = Pages::of(&second).await;
    assert_eq!(since(world, id).await, started_at);

    // Told to end, as at a rolling restart: the other one is there already, and runtimes reach models again at once.
    let mut third = third;
    let leads = leader(world).await.expect("the third one leads");
    third.signal(Signal::SIGTERM);
    wishes.stop(&world.caller, other).await.unwrap();
    another_leads(world, leads).await;
    third.ends(Duration::from_secs(30)).await;
    reaches_models(world, id).await;
    world.until(other, Phase::Stopped, BOOT).await;
    pages.were_served().await;

    assert_eq!(since(world, id).await, started_at, "what ran was started again");
    let events = events(world, began).await;
    let of = |id: RuntimeId| {
        let name = world.name(id);
        ["create", "start", "die", "destroy"].map(|what| events.get(&(name.clone(), what.to_owned())).copied().unwrap_or_default())
    };
    assert_eq!((of(id), of(other)), ([1, 1, 0, 0], [2, 2, 2, 2]), "something was done twice");
    assert_eq!(world.row(id).await.unwrap().phase, Phase::Ready);
    compare(world).await;
}

/// The server that leads, by its connection to the database.
async fn leader(world: &World) -> Option<i32> {
    let held = "select pid from pg_locks join pg_database on pg_database.oid = database
                 where datname = current_database() and locktype = 'advisory' and objid::bigint = $1 and granted";
    sqlx::query_scalar(held).bind(lead::LOCK).fetch_optional(&world.pool).await.unwrap()
}

/// Waits until another one leads.
async fn another_leads(world: &World, before: i32) {
    let begun = Instant::now();
    while leader(world).await.is_none_or(|leader| leader == before) {
        assert!(begun.elapsed() < TAKEOVER, "nobody took over within {TAKEOVER:?}");
        wait(Duration::from_millis(20)).await;
    }
    eprintln!("taken over after {:?}", begun.elapsed());
}

async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Since when the container runs.
async fn since(world: &World, id: RuntimeId) -> String {
    world.inspect(id).await.state.unwrap().started_at.unwrap()
}

/// Seconds since the epoch, as the engine counts them.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// What the engine did to each container of this world since then, and how often.
async fn events(world: &World, since: String) -> BTreeMap<(String, String), usize> {
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("label".to_owned(), vec![format!("{}={}", names::LABEL_INSTANCE, world.config.runtimes.instance)]),
    ]);
    // Whole seconds: what was done in this one counts too.
    let until = (now() + 1).to_string();
    let options = EventsOptionsBuilder::default().since(&since).until(&until).filters(&filters).build();
    let mut seen = BTreeMap::new();
    let mut events = world.docker.events(Some(options));
    while let Some(event) = events.next().await {
        let event = event.unwrap();
        let name = event.actor.and_then(|actor| actor.attributes?.get("name").cloned()).unwrap_or_default();
        *seen.entry((name, event.action.unwrap_or_default())).or_default() += 1;
    }
    seen
}

/// The internal listener answers from inside, each time.
async fn reaches_models(world: &World, id: RuntimeId) {
    let network = world.inspect(id).await.network_settings.unwrap().networks.unwrap()[&world.name(id)].clone();
    let address = format!("http://{}:{}/v1/models", network.gateway.unwrap(), world.config.entry.internal_port);
    let ask = format!("curl -s -o /dev/null -m 3 -w '%{{http_code}} ' {address}");
    let begun = Instant::now();
    // The next one opens its door as soon as it leads.
    while world.inside(id, &ask).await.trim() != "401" {
        assert!(begun.elapsed() < TAKEOVER, "models are not reached");
    }
    assert_eq!(world.inside(id, &[ask.as_str(); 8].join("; ")).await.trim(), ["401"; 8].join(" "));
}

/// Looks at the pages of a server all the time.
struct Pages {
    looking: JoinHandle<()>,
    loads: Arc<AtomicUsize>,
}

impl Pages {
    /// Begins once it serves them.
    async fn of(server: &Server) -> Self {
        // Once for all tests of this process.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().timeout(PAGE).redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        let port = server.port;
        let load = async move |client: &reqwest::Client, path: &str| {
            let asked = client.get(format!("http://127.0.0.1:{port}{path}")).header("host", "clawloops.localhost:3000");
            asked.send().await.map(|answer| answer.status().as_u16())
        };
        let begun = Instant::now();
        while load(&client, "/healthz").await.ok() != Some(200) {
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not come up");
            wait(Duration::from_millis(50)).await;
        }
        let loads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&loads);
        let looking = tokio::spawn(async move {
            loop {
                for path in ["/healthz", "/sign-in"] {
                    assert_eq!(load(&client, path).await.unwrap(), 200, "{path}");
                }
                counted.fetch_add(1, Ordering::Relaxed);
                wait(Duration::from_millis(100)).await;
            }
        });
        Self { looking, loads }
    }

    async fn were_served(self) {
        self.looking.abort();
        if let Err(error) = self.looking.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        assert!(self.loads.load(Ordering::Relaxed) > 3, "hardly a page was asked for");
    }
}
