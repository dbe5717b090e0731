//! The key of a real OpenClaw, rotated while it runs.

use super::world::{Life, World};
use contract::RuntimeId;
use std::time::{Duration, Instant};

/// How long OpenClaw may take to notice; it takes about a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// OpenClaw says itself that it took the new key up, in the process that ran before, and the old one is nowhere left inside.
pub async fn rotated(world: &World, life: &Life, id: RuntimeId) {
    let key = async || world.inside(id, "grep -o 'cl_rt_[0-9a-zA-Z_]*' /etc/clawloops/openclaw.json").await.trim().to_owned();
    let (old, before) = (key().await, world.inspect(id).await.state.unwrap());
    assert!(old.starts_with("cl_rt_"), "{old}");
    let environment = world.inside(id, "env").await;
    assert!(!environment.contains("cl_rt_"), "no secret is in the environment");
    let host = world.config.data.data_dir.join("runtimes").join(id.to_string());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(host).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700, "nobody else of this machine reads it");

    life.orchestrator.rotate_key(&world.caller, id, time::Duration::minutes(5)).await.unwrap();
    let asked = Instant::now();
    while !taken_up(life, id).await {
        assert!(asked.elapsed() < PATIENCE, "OpenClaw has not taken its new key up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("asked to taken up: {:?}", asked.elapsed());
    let new = key().await;
    assert!(new.starts_with("cl_rt_") && new != old, "{new}");
    let after = world.inspect(id).await.state.unwrap();
    assert_eq!((after.started_at, after.pid), (before.started_at, before.pid), "without a restart");
    let public = &old["cl_rt_".len()..][..20];
    assert_eq!(world.inside(id, &format!("grep -rl {public} /home/claw/.openclaw /tmp /etc/clawloops")).await.trim(), "");
}

async fn taken_up(life: &Life, id: RuntimeId) -> bool {
    let lines = life.orchestrator.engine().logs(id, 200).await.unwrap();
    lines.iter().any(|line| line.contains("config hot reload applied") && line.contains("models.providers.clawloops.apiKey"))
}
