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

/// Whether containers of one network reach each other.
const ICC: &str = "com.docker.network.bridge.enable_icc";
/// The name of the network's bridge: the firewall's rules know it by that.
const BRIDGE: &str = "com.docker.network.bridge.name";

pub(super) async fn list(
    docker: &Docker,
    names: &Names,
    filters: HashMap<String, Vec<String>>,
) -> Result<Vec<(RuntimeId, Option<Isolation>)>> {
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.map_err(|error| failed("listing networks", error))?;
    let found = networks.iter().filter_map(|network| {
        let runtime_id = network.labels.as_ref()?.get(names::LABEL_RUNTIME)?.parse().ok()?;
        let walls = Walls { internal: network.internal, options: network.options.as_ref(), ipam: network.ipam.as_ref() };
        Some((runtime_id, walls.isolation(&names.bridge(runtime_id))))
    });
    Ok(found.collect())
}

pub(super) async fn find(docker: &Docker, name: &str) -> Result<Option<NetworkInspect>> {
    absent(docker.inspect_network(name, None::<InspectNetworkOptions>).await, "looking at a network")
}

/// The walls that this network is; none when it is not as [`make`] makes it, so that it holds nothing.
pub(super) fn isolation(network: &NetworkInspect, bridge: &str) -> Option<Isolation> {
    Walls { internal: network.internal, options: network.options.as_ref(), ipam: network.ipam.as_ref() }.isolation(bridge)
}

/// What matters of a network.
struct Walls<'a> {
    internal: Option<bool>,
    options: Option<&'a HashMap<String, String>>,
    ipam: Option<&'a Ipam>,
}

impl Walls<'_> {
    fn isolation(&self, bridge: &str) -> Option<Isolation> {
        let is = |option: &str, value: &str| self.options.and_then(|options| options.get(option)).is_some_and(|found| found == value);
        if self.internal != Some(true) || !is(ICC, "false") || !is(BRIDGE, bridge) {
            return None;
        }
        let gateway: IpAddr = self.ipam?.config.as_ref()?.first()?.gateway.as_ref()?.parse().ok()?;
        Some(Isolation { gateway })
    }
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
            options: Some(HashMap::from([(ICC.to_owned(), "false".to_owned()), (BRIDGE.to_owned(), names.bridge(runtime_id))])),
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
