//! How many file descriptors the process may hold: each connection is one, and what is open towards a runtime is two.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For the database, the engine, files, and LiteLLM.
const OTHERS: u64 = 500;

/// Takes as many as the system gives, up to what `connections` need. Fewer are said in the log: then connections wait to be taken.
pub(super) fn raise(connections: usize) {
    let wanted = (connections as u64).saturating_mul(2).saturating_add(OTHERS);
    let allowed = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let raised = wanted.min(hard).max(soft);
        if raised > soft {
            setrlimit(Resource::RLIMIT_NOFILE, raised, hard)?;
        }
        Ok(raised)
    });
    match allowed {
        Ok(allowed) if allowed < wanted => {
            tracing::warn!(
                allowed,
                wanted,
                "the system gives fewer file descriptors than CLAWLOOPS_CONNECTIONS may need (ulimit -n, LimitNOFILE=)"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit on file descriptors could not be read or raised"),
    }
}
