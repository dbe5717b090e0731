//! Docker's networks: one internal network a runtime, from an address plan of our own.

use super::{
    docker::{absent, failed},
    names::{self, Names},
    plan,
};
use crate::{Result, runtime::spec::Isolation};
use bollard::{
    Docker,
    errors::Error as DockerError,
    models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect},
    query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder},
};
use contract::{Code, Problem, RuntimeId};
use std::{collections::HashMap, net::IpAddr};

pub(super) async fn list(docker: &Docker, filters: HashMap<String, Vec<String>>) -> Result<Vec<(RuntimeId, Isolation)>> {
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.map_err(|error| failed("listing networks", error))?;
    let found = networks.iter().filter_map(|network| {
        let runtime_id = network.labels.as_ref()?.get(names::LABEL_RUNTIME)?.parse().ok()?;
        Some((runtime_id, isolation(network.ipam.as_ref())?))
    });
    Ok(found.collect())
}

pub(super) async fn find(docker: &Docker, name: &str) -> Result<Option<NetworkInspect>> {
    absent(docker.inspect_network(name, None::<InspectNetworkOptions>).await, "looking at a network")
}

pub(super) fn isolation(ipam: Option<&Ipam>) -> Option<Isolation> {
    let gateway: IpAddr = ipam?.config.as_ref()?.first()?.gateway.as_ref()?.parse().ok()?;
    Some(Isolation { gateway })
}

pub(super) async fn make(docker: &Docker, names: &Names, runtime_id: RuntimeId, labels: HashMap<String, String>) -> Result<Isolation> {
    for gateway in plan::gateways(runtime_id, &plan::routed()) {
        let place = IpamConfig { subnet: Some(plan::subnet(gateway)), gateway: Some(gateway.to_string()), ..Default::default() };
        let request = NetworkCreateRequest {
            name: names.runtime(runtime_id),
            driver: Some("bridge".to_owned()),
            internal: Some(true),
            attachable: Some(false),
            enable_ipv6: Some(false),
            ipam: Some(Ipam { config: Some(vec![place]), ..Default::default() }),
            options: Some(HashMap::from([
                ("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned()),
                ("com.docker.network.bridge.name".to_owned(), names.bridge(runtime_id)),
            ])),
            labels: Some(labels.clone()),
            ..Default::default()
        };
        match docker.create_network(request).await {
            Ok(_) => return Ok(Isolation { gateway: IpAddr::V4(gateway) }),
            // Somebody else has this place of the plan.
            Err(DockerError::DockerResponseServerError { message, .. }) if message.contains("overlaps") || message.contains("in use") => {}
            Err(error) => return Err(failed("making a network", error)),
        }
    }
    Err(Problem::new(Code::Unavailable, "No free network address is left for another runtime on this machine.")
        .remedy("An administrator frees addresses within 10.213.0.0/16 or 198.18.0.0/16: what Docker or this machine's own routes have there is left alone.")
        .into())
}
