//! A hand at Docker's socket changes a runtime's container: limits are put back while it runs, another network makes it anew.

use super::world::{BOOT, Life, World};
use bollard::models::{ContainerUpdateBody, NetworkConnectRequest, NetworkCreateRequest};
use contract::{Phase, RuntimeId};
use server::manager::{Engine as _, docker::DockerEngine};
use std::time::{Duration, Instant};

async fn repairs(world: &World) -> Vec<String> {
    sqlx::query_scalar("select detail from audit_entry where action = 'runtime.repaired' order by audit_entry_id")
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

pub async fn changed_by_hand(world: &World, life: &Life, id: RuntimeId) {
    let engine = DockerEngine::new(&world.config).unwrap();
    let seen = engine.look(id).await.unwrap().container.unwrap();
    assert_eq!(seen.breaches, Vec::<String>::new(), "what we make is what we want");
    assert_eq!(engine.survey().await.unwrap()[&id].container.as_ref().unwrap().breaches, Vec::<String>::new());
    let made = seen.made.unwrap();
    assert_eq!((made.image.as_str(), Some(&made.image_id)), (world.config.runtimes.runtime_image.as_str(), made.newest_id.as_ref()));
    assert_eq!(world.row(id).await.unwrap().restart_brings, None);

    // Limits: put back, and it is the same process that runs on.
    let before = world.inspect(id).await;
    let more = ContainerUpdateBody {
        memory: Some(3 << 30),
        memory_swap: Some(4 << 30),
        nano_cpus: Some(1_000_000_000),
        pids_limit: Some(5000),
        ..Default::default()
    };
    world.docker.update_container(&world.name(id), more).await.unwrap();
    let told = Instant::now();
    while engine.look(id).await.unwrap().container.unwrap().made.unwrap().limits != made.limits {
        assert!(told.elapsed() < Duration::from_secs(5), "the limits are as the hand left them");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("limits put back after {:?}", told.elapsed());
    assert_eq!(world.inspect(id).await.state.unwrap().started_at, before.state.unwrap().started_at);
    let repaired = repairs(world).await;
    assert!(repaired.len() == 1 && repaired[0].contains("memory was 3072 MiB in place of 2048 MiB"), "{repaired:?}");

    // Its configuration, replaced as editors do: what the container has mounted is written again, and is what stands there.
    let file = world.config.data.data_dir.join("runtimes").join(id.to_string()).join("openclaw.json");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file.with_extension("new"), "{}").unwrap();
    std::fs::rename(file.with_extension("new"), &file).unwrap();
    let told = Instant::now();
    while std::fs::read_to_string(&file).unwrap() != right {
        assert!(told.elapsed() < Duration::from_secs(10), "the configuration is as the hand left it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("a configuration was written anew after {:?}", told.elapsed());
    let inside = world.inside(id, "stat -c %i /etc/clawloops/openclaw.json").await;
    assert_eq!(inside.trim(), std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&file).unwrap()).to_string());
    assert_eq!(repairs(world).await.last().unwrap(), "its configuration was edited");

    // A way out: ended at once, and made anew without it.
    let name = format!("{}-elsewhere", world.config.runtimes.instance);
    world.docker.create_network(NetworkCreateRequest { name: name.clone(), ..Default::default() }).await.unwrap();
    let connect = NetworkConnectRequest { container: world.name(id), ..Default::default() };
    world.docker.connect_network(&name, connect).await.unwrap();
    let told = Instant::now();
    world.until(id, Phase::Retrying, Duration::from_secs(8)).await;
    eprintln!("another network was found after {:?}", told.elapsed());
    world.until(id, Phase::Ready, BOOT).await;
    world.docker.remove_network(&name).await.unwrap();
    assert_eq!(engine.look(id).await.unwrap().container.unwrap().breaches, Vec::<String>::new());
    assert!(repairs(world).await.last().unwrap().contains(&format!("it is in the network {name}")));
    assert_eq!(world.inside(id, "cat /home/claw/.openclaw/note").await.trim(), "kept");
    assert_eq!(life.orchestrator.find(&world.caller, id).await.unwrap().changed, None);
}
