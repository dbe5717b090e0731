//! Every deed of the engine: done twice it is done once, failing there it can be cleaned up, cleaned up twice it is clean.

use super::world::{self, World};
use contract::RuntimeId;
use server::{
    Error,
    data::Pool,
    manager::{Engine, docker::DockerEngine, names::Names},
    runtime::spec::RuntimeSpec,
};
use std::time::Duration;

/// The deeds that make a runtime, in order.
const DEEDS: [&str; 5] = ["keep_workspace", "isolate", "configure", "create", "start"];

#[sqlx::test(migrations = "../migrations")]
async fn every_deed_can_be_done_twice_fail_and_be_cleaned_twice(pool: Pool) {
    world::play(pool, deeds).await;
}

async fn deeds(world: &World) {
    let engine = DockerEngine::new(&world.config).unwrap();
    for reached in 0..=DEEDS.len() {
        let spec = spec(world, &world.config.runtimes.runtime_image);
        for deed in &DEEDS[..reached] {
            for _ in 0..2 {
                done(&engine, deed, &spec).await.unwrap_or_else(|error| panic!("{deed} done twice: {error:?}"));
            }
        }
        cleaned_twice(world, &engine, &spec, reached).await;
    }
    // Refused at the deed itself, with all before it done.
    let missing = spec(world, "clawloops/no-such-image:1");
    for deed in &DEEDS[..3] {
        done(&engine, deed, &missing).await.unwrap();
    }
    assert!(matches!(done(&engine, "create", &missing).await, Err(Error::Problem(_))), "an image that is not there is said");
    cleaned_twice(world, &engine, &missing, 3).await;
}

fn spec(world: &World, image: &str) -> RuntimeSpec {
    let runtime_id: RuntimeId = server::clock::new_id();
    RuntimeSpec {
        runtime_id,
        revision: 1,
        image: image.to_owned(),
        workspace: Names::new(&world.config.runtimes.instance).workspace(runtime_id),
        memory_bytes: 1 << 30,
        cpu_millis: 1000,
        pids: 200,
        gpu: false,
        oci_runtime: None,
    }
}

async fn done(engine: &DockerEngine, deed: &str, spec: &RuntimeSpec) -> server::Result<()> {
    match deed {
        "keep_workspace" => engine.keep_workspace(&spec.workspace).await,
        "isolate" => engine.isolate(spec.runtime_id).await.map(drop),
        "configure" => engine.configure(spec.runtime_id, "{}").await,
        "create" => engine.create(spec).await,
        _ => engine.start(spec.runtime_id).await,
    }
}

async fn cleaned_twice(world: &World, engine: &DockerEngine, spec: &RuntimeSpec, reached: usize) {
    for time in 1..=2 {
        let place = format!("cleaned the {time}. time after {:?}", &DEEDS[..reached]);
        engine.stop(spec.runtime_id, Duration::from_secs(1)).await.unwrap_or_else(|error| panic!("{place}: {error:?}"));
        engine.remove(spec.runtime_id).await.unwrap_or_else(|error| panic!("{place}: {error:?}"));
        engine.release(spec.runtime_id).await.unwrap_or_else(|error| panic!("{place}: {error:?}"));
        engine.wipe_workspace(&spec.workspace).await.unwrap_or_else(|error| panic!("{place}: {error:?}"));
        assert_eq!(world.count().await, (0, 0, 0), "{place}");
        assert!(!world.config.data.data_dir.join("runtimes").join(spec.runtime_id.to_string()).exists(), "{place}");
    }
}
