//! Logs that outlive the container and the server.

use super::*;
use server::orchestrator::logs::Logs;
use std::path::Path;

/// A key as an agent may print it.
const KEY: &str = "sk-proj-0123456789abcdefghij";

struct Kept {
    world: World,
    folder: tempfile::TempDir,
}

impl Kept {
    async fn new(pool: Pool) -> Self {
        let mut world = World::new(pool).await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests();
        config.data.data_dir = folder.path().to_owned();
        config.runtimes.runtimes_per_person = 10;
        world.config = Arc::new(config);
        Self { world, folder }
    }

    /// A server that leads and keeps logs. Ends without a word when it is dropped.
    fn server(&self) -> (Arc<Orchestrator>, Dying) {
        let world = &self.world;
        let logs = Logs::new(&world.config, Arc::clone(&world.engine) as _, Arc::clone(&world.clock) as Arc<dyn Clock>);
        let server = Arc::try_unwrap(world.server()).unwrap_or_else(|_| panic!("nobody else has it")).keeping(logs);
        let server = Arc::new(server);
        let (changes, pool) = (world.changes.clone(), world.pool.clone());
        let tasks =
            vec![tokio::spawn(async move { changes.feed(&pool).await }), tokio::spawn(Arc::clone(&server).run(CancellationToken::new()))];
        (server, Dying(tasks))
    }

    async fn until(&self, id: RuntimeId, phase: Phase) {
        for _ in 0..400 {
            if self.world.phase(id).await == phase {
                return;
            }
            // Deadlines and waits are by the hand clock.
            self.world.clock.advance(time::Duration::milliseconds(100));
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("never {phase:?}: {:?}", self.world.row(id).await);
    }

    /// The log as the owner sees it, once its last line is this.
    async fn ends_with(&self, server: &Orchestrator, id: RuntimeId, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..400 {
            lines = server.log(&self.world.ada, id, None).await.unwrap().lines;
            if lines.last().is_some_and(|line| line.ends_with(last)) {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{last} never came: {lines:?}");
    }
}

struct Dying(Vec<tokio::task::JoinHandle<()>>);

impl Drop for Dying {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn on_disk(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        text += &if path.is_dir() { on_disk(&path) } else { String::from_utf8(std::fs::read(&path).unwrap()).unwrap() };
    }
    text
}

fn texts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once(' ').unwrap().1).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_log_outlives_servers_and_containers_without_a_line_lost_or_doubled(pool: Pool) {
    let kept = Kept::new(pool).await;
    let (world, say) = (&kept.world, |id, text: &str| kept.world.engine.say(id, kept.world.clock.now(), text));
    let (server, life) = kept.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    kept.until(id, Phase::Ready).await;
    say(id, &format!("a person typed {KEY} in"));
    kept.ends_with(&server, id, "a person typed sk-… in").await;

    // Another server, of another data directory or before its turn, shows at least what the container has.
    let other = kept.world.server();
    assert!(other.log(&world.ada, id, None).await.unwrap().lines.join(" ").contains("sk-… in"));

    // The server is killed; what is said meanwhile is there afterwards, once.
    drop((server, life));
    tokio::time::sleep(Duration::from_millis(100)).await;
    say(id, "nobody hears this yet");
    let (server, life) = kept.server();
    let lines = kept.ends_with(&server, id, "nobody hears this yet").await;
    assert_eq!(texts(&lines), ["starting", "key is cl_rt_…", "bye", "a person typed sk-… in", "nobody hears this yet"]);

    // The container ends with a word, is removed, and another one made.
    world.clock.advance(time::Duration::seconds(10));
    say(id, "out of ideas");
    world.engine.end(id, 3);
    kept.until(id, Phase::Retrying).await;
    kept.until(id, Phase::Ready).await;
    let lines = kept.ends_with(&server, id, "bye").await;
    assert_eq!(texts(&lines)[4..], ["nobody hears this yet", "out of ideas", "starting", "key is cl_rt_…", "bye"]);

    // Stopped, it is still there to be searched; nothing unmasked ever was on the disk.
    server.stop(&world.ada, id).await.unwrap();
    kept.until(id, Phase::Stopped).await;
    assert_eq!(texts(&server.log(&world.ada, id, Some(" OUT of ")).await.unwrap().lines), ["out of ideas"]);
    assert_eq!(server.log(&world.ada, id, Some(KEY)).await.unwrap().lines, Vec::<String>::new());
    let disk = on_disk(kept.folder.path());
    assert!(disk.contains("out of ideas") && !disk.contains("0123456789abcdef") && !disk.contains("0011223344"), "{disk}");

    // Deleted, nothing is left of it, and another server may write.
    server.delete(&world.ada, id, Retention::WipeWorkspace).await.unwrap();
    kept.until(id, Phase::Deleted).await;
    for _ in 0..200 {
        if !kept.folder.path().join("logs").join(id.to_string()).exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(on_disk(kept.folder.path()), "");
    drop(life);
}

/// What an earlier server left of a runtime that is gone goes; what is nobody's log stays.
#[sqlx::test(migrations = "../migrations")]
async fn logs_of_runtimes_that_are_gone_do_not_stay(pool: Pool) {
    let kept = Kept::new(pool).await;
    let logs = kept.folder.path().join("logs");
    let gone: RuntimeId = server::clock::new_id();
    for name in [gone.to_string(), "notes".to_owned()] {
        std::fs::create_dir_all(logs.join(&name)).unwrap();
        std::fs::write(logs.join(&name).join("0000000001.log"), "2026-11-22T12:00:00Z gone\n").unwrap();
    }
    let (_server, _life) = kept.server();
    for _ in 0..400 {
        if !logs.join(gone.to_string()).exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(!logs.join(gone.to_string()).exists() && logs.join("notes").exists());
}

/// A disk that takes nothing, or a folder that is none, keeps no runtime from anything.
#[sqlx::test(migrations = "../migrations")]
async fn a_log_that_cannot_be_written_holds_nothing_up(pool: Pool) {
    let kept = Kept::new(pool).await;
    std::fs::write(kept.folder.path().join("logs"), "a file in its place").unwrap();
    let (server, _life) = kept.server();
    let id = server.create(&kept.world.ada, "Main", None).await.unwrap();
    kept.until(id, Phase::Ready).await;
    assert_eq!(server.log(&kept.world.ada, id, None).await.unwrap().lines, ["starting", "key is cl_rt_…", "bye"]);
    server.delete(&kept.world.ada, id, Retention::WipeWorkspace).await.unwrap();
    kept.until(id, Phase::Deleted).await;
}
