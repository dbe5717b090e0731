//! Docker's containers: the hardened profile, and what is read back.

use super::{
    docker::failed,
    names::{self, Names},
};
use crate::{
    Error, Result,
    runtime::spec::{CONFIG_PATH, MODEL_KEY, RuntimeSpec, STATE_DIR, TMP_BYTES, USER},
};
use bollard::{
    Docker,
    errors::Error as DockerError,
    models::{
        ContainerCreateBody, ContainerStatsResponse, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountType, RestartPolicy,
        RestartPolicyNameEnum,
    },
    query_parameters::CreateContainerOptionsBuilder,
};
use contract::{Code, Problem, RuntimeStats};
use secrecy::ExposeSecret as _;
use std::{collections::HashMap, path::Path};

pub(super) async fn create(docker: &Docker, names: &Names, configuration: &Path, spec: &RuntimeSpec) -> Result<()> {
    let name = names.runtime(spec.runtime_id);
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    match docker.create_container(Some(options), body(names, configuration, spec)).await {
        Ok(_) => Ok(()),
        // Made by a call whose answer was lost; the next look judges it.
        Err(DockerError::DockerResponseServerError { status_code: 409, message }) if message.contains("already in use") => Ok(()),
        Err(DockerError::DockerResponseServerError { status_code: 404, message }) => Err(no_image(spec, &message)),
        Err(error) => Err(failed("making a container", error)),
    }
}

fn no_image(spec: &RuntimeSpec, message: &str) -> Error {
    tracing::error!(image = spec.image, message, "the runtime image is not there");
    Problem::new(Code::RuntimeStartFailed, format!("The runtime image {} is not on this machine.", spec.image))
        .remedy("An administrator builds or pulls it, or names another one with CLAWLOOPS_RUNTIME_IMAGE.")
        .into()
}

fn body(names: &Names, configuration: &Path, spec: &RuntimeSpec) -> ContainerCreateBody {
    let labels = HashMap::from([
        (names::LABEL_INSTANCE.to_owned(), names.instance().to_owned()),
        (names::LABEL_RUNTIME.to_owned(), spec.runtime_id.to_string()),
        (names::LABEL_REVISION.to_owned(), spec.revision.to_string()),
        (names::LABEL_SPEC.to_owned(), spec.hash()),
    ]);
    let mounts = vec![
        Mount {
            typ: Some(MountType::VOLUME),
            source: Some(spec.workspace.clone()),
            target: Some(STATE_DIR.to_owned()),
            ..Default::default()
        },
        Mount {
            typ: Some(MountType::BIND),
            source: Some(configuration.display().to_string()),
            target: Some(CONFIG_PATH.to_owned()),
            read_only: Some(true),
            ..Default::default()
        },
    ];
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        user: Some(USER.to_owned()),
        hostname: Some("openclaw".to_owned()),
        env: Some(vec![format!("{MODEL_KEY}={}", spec.model_key.expose_secret())]),
        labels: Some(labels),
        host_config: Some(HostConfig {
            network_mode: Some(names.runtime(spec.runtime_id)),
            memory: Some(spec.memory_bytes),
            // As much as the memory: no swap on top.
            memory_swap: Some(spec.memory_bytes),
            nano_cpus: Some(spec.cpu_millis * 1_000_000),
            pids_limit: Some(spec.pids),
            init: Some(true),
            readonly_rootfs: Some(true),
            tmpfs: Some(HashMap::from([("/tmp".to_owned(), format!("rw,nosuid,nodev,size={TMP_BYTES}"))])),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
            privileged: Some(false),
            publish_all_ports: Some(false),
            mounts: Some(mounts),
            device_requests: spec.gpu.then(|| vec![all_gpus()]),
            runtime: spec.oci_runtime.clone(),
            // The orchestrator restarts, not the engine: it alone knows the wish.
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([("max-size".to_owned(), "5m".to_owned()), ("max-file".to_owned(), "2".to_owned())])),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// All GPUs of the machine, as `docker run --gpus all` asks for them.
fn all_gpus() -> DeviceRequest {
    DeviceRequest { count: Some(-1), capabilities: Some(vec![vec!["gpu".to_owned()]]), ..Default::default() }
}

/// Memory without the page cache, and the processor counters (the container's, the system's) that two looks make a percentage of.
pub(super) fn read_stats(stats: &ContainerStatsResponse) -> (RuntimeStats, (u64, u64)) {
    let memory = stats.memory_stats.clone().unwrap_or_default();
    let details = memory.stats.unwrap_or_default();
    // cgroup v1 says total_inactive_file, v2 says inactive_file.
    let cache = details.get("total_inactive_file").or_else(|| details.get("inactive_file")).copied().unwrap_or(0);
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let cpu = stats.cpu_stats.clone().unwrap_or_default();
    let cores = u64::from(cpu.online_cpus.unwrap_or(1).max(1));
    let used = cpu.cpu_usage.and_then(|usage| usage.total_usage).unwrap_or(0);
    let view = RuntimeStats {
        memory_bytes: signed(memory.usage.unwrap_or(0).saturating_sub(cache)),
        memory_limit_bytes: signed(memory.limit.unwrap_or(0)),
        cpu_percent: 0.0,
    };
    (view, (used, cpu.system_cpu_usage.unwrap_or(0) / cores))
}

/// Processor use between two looks, in percent of one core.
#[expect(clippy::cast_precision_loss, reason = "a percentage of nanoseconds; its last digits do not matter")]
pub(super) fn cpu_percent(before: (u64, u64), now: (u64, u64)) -> f64 {
    let (used, passed) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
    if passed == 0 { 0.0 } else { used as f64 / passed as f64 * 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn a_gpu_and_an_oci_runtime_come_from_the_spec_alone_and_are_read_back() {
        let mut spec = RuntimeSpec {
            runtime_id: contract::RuntimeId(uuid::Uuid::from_u128(1)),
            revision: 1,
            image: "image".to_owned(),
            workspace: "workspace".to_owned(),
            memory_bytes: 2 << 30,
            cpu_millis: 2000,
            pids: 512,
            gpu: false,
            oci_runtime: None,
            model_key: "key".to_owned().into(),
        };
        let host = |spec: &RuntimeSpec| body(&Names::new("test"), Path::new("/c"), spec).host_config.unwrap();
        let plain = host(&spec);
        assert_eq!((plain.device_requests, plain.runtime, plain.devices), (None, None, None));
        let hash = spec.hash();
        (spec.gpu, spec.oci_runtime) = (true, Some("runsc".to_owned()));
        let more = host(&spec);
        let requests = more.device_requests.clone().unwrap();
        assert_eq!(
            (requests.len(), requests[0].count, requests[0].capabilities.clone()),
            (1, Some(-1), Some(vec![vec!["gpu".to_owned()]]))
        );
        assert_eq!((more.runtime.as_deref(), more.privileged, more.readonly_rootfs), (Some("runsc"), Some(false), Some(true)));
        assert_ne!(spec.hash(), hash, "another container");
        let inspected = bollard::models::ContainerInspectResponse { host_config: Some(more), ..Default::default() };
        let made = super::super::docker_walls::made(&inspected, None);
        assert_eq!((made.gpu, made.oci_runtime.as_deref()), (true, Some("runsc")));
    }

    /// A container that is made in another way is announced to whoever runs one of the old way.
    #[test]
    fn another_way_of_making_containers_is_another_version() {
        let spec = RuntimeSpec {
            runtime_id: contract::RuntimeId(uuid::Uuid::from_u128(1)),
            revision: 1,
            image: "image".to_owned(),
            workspace: "workspace".to_owned(),
            memory_bytes: 2 << 30,
            cpu_millis: 2000,
            pids: 512,
            gpu: true,
            oci_runtime: Some("runsc".to_owned()),
            model_key: "key".to_owned().into(),
        };
        let made = ContainerCreateBody { labels: None, ..body(&Names::new("test"), Path::new("/c"), &spec) };
        let text = serde_json::to_value(made).unwrap().to_string();
        let (version, _) = spec.hash().split_once('-').map(|(version, hash)| (version.to_owned(), hash.to_owned())).unwrap();
        let digest = crate::runtime::token::hex(&Sha256::digest(text.as_bytes())[..8]);
        assert_eq!(
            (version.as_str(), digest.as_str()),
            ("v2", "0b1dc6c02b48ff74"),
            "raise the version in runtime/spec.rs: containers are made in another way"
        );
    }

    #[test]
    fn percent_is_of_one_core_and_never_divides_by_nothing() {
        assert!((cpu_percent((0, 0), (50, 100)) - 50.0).abs() < f64::EPSILON);
        assert!(cpu_percent((5, 100), (9, 100)).abs() < f64::EPSILON);
        assert!(cpu_percent((9, 9), (0, 0)).abs() < f64::EPSILON);
    }
}
