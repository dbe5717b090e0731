//! The entry as browsers and runtimes see it: over real sockets, with a database per test and a plain server in a runtime's place.
#![cfg(test)]

mod administration;
mod authority;
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
mod ports;
mod proxies;
mod raw;
mod revocation;
mod runtime_log;
mod sleeping;
mod smuggling;
mod states;
mod support;
mod tickets;
mod tls;
mod traefik;
