//! Two servers on one database: which one acts when a leader falls silent, or is cut off from PostgreSQL, and when the other one begins.

use crate::{World, until};
use contract::Phase;
use server::data::{Pool, lead};
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixListener, UnixStream},
};
use tokio_util::sync::CancellationToken;

/// What is promised.
const TAKEOVER: Duration = Duration::from_secs(10);

#[sqlx::test(migrations = "../migrations")]
async fn the_lead_of_one_that_says_nothing_falls_to_another(pool: Pool) {
    let mut first = lead::take(&pool).await.unwrap().expect("nobody leads");
    // Whoever asks keeps it, for longer than silence would be suffered.
    let begun = Instant::now();
    while begun.elapsed() < lead::SILENCE + Duration::from_secs(2) {
        assert!(first.holds().await);
        assert!(lead::take(&pool).await.unwrap().is_none(), "two lead");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let silent = Instant::now();
    let second = loop {
        if let Some(second) = lead::take(&pool).await.unwrap() {
            break second;
        }
        assert!(silent.elapsed() < TAKEOVER, "the lock outlives its holder's silence");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(silent.elapsed() > lead::SILENCE - Duration::from_secs(1), "it fell before its holder would have noticed");
    assert!(!first.holds().await, "it believes in a lock that is gone");
    second.yield_up().await.unwrap();
    lead::take(&pool).await.unwrap().expect("what was given up is free at once");
}

/// A way to PostgreSQL that can be cut: nothing is closed, and nothing comes through any more.
struct Wire {
    folder: tempfile::TempDir,
    cut: CancellationToken,
}

impl Wire {
    fn to(pool: &PgPool) -> Self {
        let (folder, cut) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let options = pool.connect_options();
        let listener = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{}", options.get_port()))).unwrap();
        let socket =
            options.get_socket().cloned().or_else(|| options.get_host().starts_with('/').then(|| PathBuf::from(options.get_host())));
        let (host, port, is_cut) = (options.get_host().to_owned(), options.get_port(), cut.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let is_cut = is_cut.clone();
                let (near_reads, near_writes) = near.into_split();
                let (far_reads, far_writes): (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>) = match &socket {
                    Some(folder) => {
                        let (reads, writes) = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await.unwrap().into_split();
                        (Box::new(reads), Box::new(writes))
                    }
                    None => {
                        let (reads, writes) = TcpStream::connect((host.as_str(), port)).await.unwrap().into_split();
                        (Box::new(reads), Box::new(writes))
                    }
                };
                tokio::spawn(pass(near_reads, far_writes, is_cut.clone()));
                tokio::spawn(pass(far_reads, near_writes, is_cut));
            }
        });
        Self { folder, cut }
    }

    /// A pool over it.
    fn pool(&self, pool: &PgPool) -> PgPool {
        let options = (*pool.connect_options()).clone().socket(self.folder.path());
        PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(3)).connect_lazy_with(options)
    }

    fn cut(&self) {
        self.cut.cancel();
    }
}

/// Passes bytes on until the wire is cut, and then holds both ends.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, cut: CancellationToken) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            biased;
            () = cut.cancelled() => std::future::pending().await,
            read = from.read(&mut bytes) => match read {
                Ok(count @ 1..) => if to.write_all(&bytes[..count]).await.is_err() { return },
                _ => return,
            },
        }
    }
}

/// The database sees a connection that is quiet, the leader one that does not answer. Each ends it for itself.
#[sqlx::test(migrations = "../migrations")]
async fn a_leader_that_is_cut_off_ends_and_the_other_one_begins(pool: Pool) {
    let world = World::new(pool).await;
    let feeding = world.changes.clone();
    let feed = tokio::spawn({
        let pool = world.pool.clone();
        async move { feeding.feed(&pool).await }
    });
    let wire = Wire::to(&world.pool);
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let one = tokio::spawn(world.server_over(wire.pool(&world.pool)).run(first.clone()));
    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    until(&world, id, Phase::Ready, TAKEOVER).await;
    let two = tokio::spawn(world.server().run(second.clone()));

    let effects = world.engine.effects();
    wire.cut();
    server.stop(&world.ada, id).await.unwrap();
    until(&world, id, Phase::Stopped, TAKEOVER).await;
    assert!(world.engine.effects() > effects);
    assert_eq!(world.engine.wrongs(), Vec::<String>::new(), "something was done twice");
    // The first one lives, waits for the lead, and ends in order when it is told to.
    assert!(!one.is_finished());
    first.cancel();
    tokio::time::timeout(TAKEOVER, one).await.expect("it hangs on a database that does not answer").unwrap();
    second.cancel();
    two.await.unwrap();
    feed.abort();
}
