//! What OpenClaw says is kept: all of it, once, masked, and longer than its container.

use super::world::{Life, World};
use contract::RuntimeId;
use futures::{StreamExt as _, TryStreamExt as _};
use std::time::{Duration, Instant};

/// A key as an agent may print it.
const KEY: &str = "sk-proj-0123456789abcdefghij";

/// The whole kept log.
async fn whole(world: &World, life: &Life, id: RuntimeId) -> String {
    let (name, text) = life.orchestrator.whole_log(&world.caller, id).await.unwrap();
    assert_eq!(name, "main");
    let pieces: Vec<_> = text.try_collect().await.unwrap();
    pieces.iter().map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
}

/// Lets the runtime print a key, and waits until the log has it all. The lines of its container, as Docker has them.
pub async fn said(world: &World, life: &Life, id: RuntimeId) -> Vec<String> {
    let printed = world.inside(id, &format!("echo somebody typed {KEY} in > /proc/1/fd/1 && echo done")).await;
    assert_eq!(printed.trim(), "done");
    let began = Instant::now();
    while !life
        .orchestrator
        .log(&world.caller, id, Some("somebody"))
        .await
        .unwrap()
        .lines
        .iter()
        .any(|line| line.ends_with("typed sk-… in"))
    {
        assert!(began.elapsed() < Duration::from_secs(10), "{}", whole(world, life, id).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("a line is in the kept log after {:?}", began.elapsed());
    let said = life.orchestrator.engine().output(id, None, false).await.unwrap();
    let said: Vec<String> = said.map(|line| server::runtime::mask::keys(&line.text)).collect().await;
    assert!(said.len() > 3, "{said:?}");
    said
}

/// Another container runs by now: what the one before said is there, in its order, each line once, and no key of it on the disk.
pub async fn outlived(world: &World, life: &Life, id: RuntimeId, said: &[String]) {
    let text = whole(world, life, id).await;
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.ends_with("typed sk-… in")).unwrap();
    let texts: Vec<&str> = lines.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    let mine = said.iter().position(|line| line.ends_with("typed sk-… in")).unwrap();
    assert!(at >= mine, "{text}");
    assert_eq!(texts[at - mine..=at], said[..=mine]);
    let unique: std::collections::BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!(unique.len(), lines.len(), "no line is there twice");
    assert!(lines.len() > at + 3, "the container that runs now is followed, too: {text}");
    assert!(!text.contains("0123456789abcdefghij") && !text.contains("cl_rt_0"));
}
