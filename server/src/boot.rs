//! The composition root: the one place that knows everything.

use crate::config::Config;

/// Serves until it is told to stop.
///
/// # Errors
/// When a part without which nothing can be served does not come up: the data directory, PostgreSQL, the listening address.
#[expect(clippy::unused_async, reason = "filled in the next step")]
pub async fn serve(config: Config) -> anyhow::Result<()> {
    drop(config);
    Ok(())
}
