//! One's own runtimes, and for administrators everyone's.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::{request, routes};
use contract::{LogView, PersonId, Retention, RuntimeId, RuntimeStats, RuntimeView};
use leptos::prelude::*;

/// The caller's runtimes.
#[server(prefix = "/api/ui", endpoint = "my-runtimes")]
pub async fn my_runtimes() -> Answered<Vec<RuntimeView>> {
    Ok(request::ports()?.runtimes.list(&request::caller()?).await?)
}

/// One runtime.
#[server(prefix = "/api/ui", endpoint = "runtime")]
pub async fn runtime(runtime_id: RuntimeId) -> Answered<RuntimeView> {
    Ok(request::ports()?.runtimes.get(&request::caller()?, runtime_id).await?)
}

/// Makes a runtime, starts it, and shows the start.
#[server(prefix = "/api/ui", endpoint = "create-runtime")]
pub async fn create_runtime(name: String) -> Answered<()> {
    let runtime = request::ports()?.runtimes.create(&request::caller()?, &name).await?;
    request::redirect(&routes::runtime(runtime.runtime_id));
    Ok(())
}

/// Starts a runtime and shows the start.
#[server(prefix = "/api/ui", endpoint = "start-runtime")]
pub async fn start_runtime(runtime_id: RuntimeId) -> Answered<()> {
    request::ports()?.runtimes.start(&request::caller()?, runtime_id).await?;
    request::redirect(&routes::runtime(runtime_id));
    Ok(())
}

/// Stops a runtime.
#[server(prefix = "/api/ui", endpoint = "stop-runtime")]
pub async fn stop_runtime(runtime_id: RuntimeId) -> Answered<()> {
    request::ports()?.runtimes.stop(&request::caller()?, runtime_id).await?;
    Ok(())
}

/// Gives a runtime a new container and shows the start.
#[server(prefix = "/api/ui", endpoint = "restart-runtime")]
pub async fn restart_runtime(runtime_id: RuntimeId) -> Answered<()> {
    request::ports()?.runtimes.restart(&request::caller()?, runtime_id).await?;
    request::redirect(&routes::runtime(runtime_id));
    Ok(())
}

/// Deletes a runtime.
#[server(prefix = "/api/ui", endpoint = "delete-runtime")]
pub async fn delete_runtime(runtime_id: RuntimeId, retention: Retention) -> Answered<()> {
    request::ports()?.runtimes.delete(&request::caller()?, runtime_id, retention).await?;
    request::redirect(routes::RUNTIMES);
    Ok(())
}

/// What a runtime uses now.
#[server(name = AskRuntimeStats, prefix = "/api/ui", endpoint = "runtime-stats")]
pub async fn runtime_stats(runtime_id: RuntimeId) -> Answered<Option<RuntimeStats>> {
    Ok(request::ports()?.runtimes.stats(&request::caller()?, runtime_id).await?)
}

/// The newest lines of a runtime's log, or the newest of those that contain `find`.
#[server(prefix = "/api/ui", endpoint = "runtime-logs")]
pub async fn runtime_logs(runtime_id: RuntimeId, find: Option<String>) -> Answered<LogView> {
    Ok(request::ports()?.runtimes.logs(&request::caller()?, runtime_id, find.as_deref()).await?)
}

/// Everyone's runtimes.
#[server(prefix = "/api/ui", endpoint = "all-runtimes")]
pub async fn all_runtimes() -> Answered<Vec<RuntimeView>> {
    Ok(request::ports()?.runtimes.everyones(&request::caller()?).await?)
}

/// One person's runtimes.
#[server(prefix = "/api/ui", endpoint = "runtimes-of-person")]
pub async fn runtimes_of(person_id: PersonId) -> Answered<Vec<RuntimeView>> {
    Ok(request::ports()?.runtimes.of_person(&request::caller()?, person_id).await?)
}
