//! One's own runtimes, and for administrators everyone's.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::{parse, request, routes};
#[cfg(feature = "ssr")]
use contract::Problem;
use contract::{Act, Acted, LogView, PersonId, ProfileId, Retention, RuntimeId, RuntimeStats, RuntimeUse, RuntimeView, TaskView};
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
pub async fn create_runtime(name: String, profile_id: Option<ProfileId>) -> Answered<()> {
    let runtime = request::ports()?.runtimes.create(&request::caller()?, &name, profile_id).await?;
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

/// Lets a runtime call models again that was paused since it spent too fast.
#[server(prefix = "/api/ui", endpoint = "resume-calls")]
pub async fn resume_calls(runtime_id: RuntimeId) -> Answered<()> {
    Ok(request::ports()?.runtimes.resume_calls(&request::caller()?, runtime_id).await?)
}

/// Waits no longer for what a runtime finishes before it ends.
#[server(prefix = "/api/ui", endpoint = "hurry-runtime")]
pub async fn hurry_runtime(runtime_id: RuntimeId) -> Answered<()> {
    request::ports()?.runtimes.hurry(&request::caller()?, runtime_id).await?;
    Ok(())
}

/// Chooses after how many minutes without use a runtime goes to sleep: 0 is never, nothing is what is usual here.
#[server(prefix = "/api/ui", endpoint = "choose-sleep")]
pub async fn choose_sleep(runtime_id: RuntimeId, minutes: String) -> Answered<()> {
    request::ports()?.runtimes.choose_sleep(&request::caller()?, runtime_id, parse::minutes(&minutes)?).await?;
    request::redirect(&routes::runtime(runtime_id));
    Ok(())
}

/// Gives a runtime a new key while it runs; the old one works on for so many minutes.
#[server(prefix = "/api/ui", endpoint = "rotate-runtime-key")]
pub async fn rotate_runtime_key(runtime_id: RuntimeId, minutes: u16) -> Answered<()> {
    request::ports()?.runtimes.rotate_key(&request::caller()?, runtime_id, minutes).await?;
    request::redirect(&routes::runtime(runtime_id));
    Ok(())
}

/// Changes a runtime's profile: at once and with a new container where `restart` is sent, otherwise what can be changed while it runs.
#[server(prefix = "/api/ui", endpoint = "change-profile-of-runtime")]
pub async fn change_runtime_profile(runtime_id: RuntimeId, profile_id: ProfileId, restart: Option<String>) -> Answered<()> {
    request::ports()?.runtimes.change_profile(&request::caller()?, runtime_id, profile_id, restart.is_some()).await?;
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

/// What was asked of a runtime.
#[server(prefix = "/api/ui", endpoint = "runtime-tasks")]
pub async fn runtime_tasks(runtime_id: RuntimeId) -> Answered<Vec<TaskView>> {
    Ok(request::ports()?.runtimes.tasks(&request::caller()?, runtime_id).await?)
}

/// What everyone's runtimes use now, and what is open towards them.
#[server(prefix = "/api/ui", endpoint = "all-runtime-stats")]
pub async fn all_runtime_stats() -> Answered<Vec<(RuntimeId, RuntimeUse)>> {
    Ok(request::ports()?.runtimes.everyones_stats(&request::caller()?).await?)
}

/// Asks the same of several runtimes. Each answers by itself; a plain form, which sees no answer, is told in a sentence what was refused.
#[server(prefix = "/api/ui", endpoint = "act-on-runtimes")]
pub async fn act_on_runtimes(act: Act, #[server(default)] runtime_ids: Vec<RuntimeId>) -> Answered<Vec<Acted>> {
    let acted = request::ports()?.runtimes.act(&request::caller()?, act, &runtime_ids).await?;
    match refusals(&acted) {
        Some(problem) if request::is_plain_form() => Err(problem.into()),
        _ => Ok(acted),
    }
}

/// What was refused, in one problem; none when nothing was.
#[cfg(feature = "ssr")]
fn refusals(acted: &[Acted]) -> Option<Problem> {
    let refused: Vec<&Problem> = acted.iter().filter_map(|one| one.problem.as_ref()).collect();
    let first = refused.first()?;
    let mut reasons: Vec<&str> = refused.iter().map(|problem| problem.message.as_str()).collect();
    reasons.dedup();
    let message = format!("{} of {} could not be asked: {}", refused.len(), acted.len(), reasons.join(" "));
    Some(Problem { message, ..(*first).clone() })
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
