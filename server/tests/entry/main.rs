//! The entry as browsers and runtimes see it: over real sockets, with a database per test and a plain server in a runtime's place.
#![cfg(test)]

mod acme;
mod administration;
mod conformance;
mod doors;
mod export;
mod forward_auth;
mod framing;
mod fronts;
mod hostile;
mod key_limits;
mod limits;
mod live;
mod logs;
mod outages;
mod parts;
mod proxies;
mod raw;
mod revocation;
mod rolling;
mod runtime_log;
mod sharing;
mod sleeping;
mod smuggling;
mod states;
mod support;
mod tickets;
mod tls;
mod traefik;
