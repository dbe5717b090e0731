//! What a runtime's page tells of its state, without script: what was deleted, what somebody else asked, when it wakes, how a try goes.

use crate::{
    administration::{JSON, post, settle, view},
    support::{Person, TestApp},
};
use contract::{DesiredState, Leftover, PersonStatus, Phase, Role, RuntimeId, RuntimeView, TaskKind};
use server::data::Pool;
use std::time::{Duration, Instant};

/// The page as the server renders it, without the marks that hydration needs, and its status.
async fn page(app: &TestApp, person: &Person, path: &str) -> (u16, String) {
    let answer = app.ask("GET", path).header("cookie", &person.cookie).header("accept", "text/html").send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap().replace("<!>", ""))
}

async fn deleted(app: &TestApp, person: &Person, runtime: RuntimeId, retention: &str) {
    let fields = format!("runtime_id={runtime}&retention={retention}");
    assert_eq!(post(app, person, "delete-runtime", &fields, JSON).await.status(), 200);
    settle(app, runtime).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_deleted_says_so_to_whom_it_was_known(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, bob) = (app.person("ada", Role::Person).await, app.person("bob", Role::Person).await);
    let root = app.person("root", Role::Administrator).await;
    let first = app.runtime(&ada, "ada-agent", None).await;
    settle(&app, first).await;
    let path = format!("/runtimes/{first}");
    assert_eq!(page(&app, &ada, &path).await.0, 200);

    let fields = format!("runtime_id={first}&retention=preserve_workspace");
    assert_eq!(post(&app, &ada, "delete-runtime", &fields, JSON).await.status(), 200);
    let going = view(&app, &ada, first).await;
    assert_eq!((going.phase, going.leftover), (Phase::Deleting, Some(Leftover::Workspace)));
    assert!(page(&app, &ada, &path).await.1.contains("Its container and its address go. Its workspace is kept."));
    settle(&app, first).await;

    let (status, told) = page(&app, &ada, &path).await;
    assert_eq!(status, 410);
    let kept = "Its workspace was kept: a new runtime named ada-agent finds its files and conversations again.";
    for part in ["It was deleted", kept, "Make it again", "What was asked", "<b>Delete</b>"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let (status, told) = page(&app, &root, &path).await;
    assert!(status == 410 && told.contains("ada finds its files") && !told.contains("Make it again"), "{told}");
    let (status, told) = page(&app, &bob, &path).await;
    assert!(status == 404 && !told.contains("ada-agent"), "nobody else learns that it was there: {told}");
    assert_eq!(page(&app, &ada, &format!("{path}/open")).await.0, 410);
    assert_eq!(post(&app, &bob, "runtime", &format!("runtime_id={first}"), JSON).await.status(), 404);
    assert_eq!(post(&app, &bob, "runtime-tasks", &format!("runtime_id={first}"), JSON).await.status(), 404);

    // It is in no list, and nothing can be asked of it.
    let mine: Vec<RuntimeView> = post(&app, &ada, "my-runtimes", "", JSON).await.json().await.unwrap();
    assert!(mine.is_empty());
    for verb in ["start-runtime", "stop-runtime", "restart-runtime", "runtime-logs", "runtime-stats"] {
        assert_eq!(post(&app, &ada, verb, &format!("runtime_id={first}"), JSON).await.status(), 404, "{verb}");
    }

    // Made again it has the workspace; wiped then, both say so.
    let second = app.runtime(&ada, "ada-agent", None).await;
    settle(&app, second).await;
    assert_eq!(view(&app, &ada, first).await.leftover, Some(Leftover::InUse(second)));
    let (_, told) = page(&app, &ada, &path).await;
    assert!(told.contains("a new runtime has it") && told.contains(&format!("href=\"/runtimes/{second}\"")), "{told}");
    deleted(&app, &ada, second, "wipe_workspace").await;
    for gone in [first, second] {
        let (status, told) = page(&app, &ada, &format!("/runtimes/{gone}")).await;
        assert!(status == 410 && told.contains("wiped with it") && !told.contains("Make it again"), "{told}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_else_asked_last_is_named(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, root) = (app.person("ada", Role::Person).await, app.person("root", Role::Administrator).await);
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    settle(&app, runtime).await;
    let (path, fields) = (format!("/runtimes/{runtime}"), format!("runtime_id={runtime}"));
    assert_eq!(view(&app, &ada, runtime).await.others_wish, None);

    post(&app, &root, "stop-runtime", &fields, JSON).await;
    settle(&app, runtime).await;
    let wish = view(&app, &ada, runtime).await.others_wish.unwrap();
    assert_eq!((wish.asked_by.as_deref(), wish.kind), (Some("root"), TaskKind::Stop));
    for path in [path.as_str(), "/", "/runtimes"] {
        let (_, told) = page(&app, &ada, path).await;
        assert!(told.contains("<b>root</b> stopped this "), "{path}: {told}");
    }
    // Its owner's own wish is the newest then.
    post(&app, &ada, "start-runtime", &fields, JSON).await;
    settle(&app, runtime).await;
    assert_eq!(view(&app, &ada, runtime).await.others_wish, None);
    assert!(!page(&app, &ada, &path).await.1.contains("stopped this"));

    app.backend.ports().admin.set_status(&root.caller, ada.caller.person_id, PersonStatus::Disabled).await.unwrap();
    settle(&app, runtime).await;
    let (_, told) = page(&app, &root, &path).await;
    assert!(told.contains("<b>ClawLoops</b> stopped this ") && told.contains("when its owner was disabled"), "{told}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_sleep_tells_its_waking_in_the_zone_of_whoever_reads(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, root) = (app.person("ada", Role::Person).await, app.person("root", Role::Administrator).await);
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    settle(&app, runtime).await;
    for (person, zone) in [(&ada, "Pacific/Auckland"), (&root, "Asia/Kolkata")] {
        sqlx::query("update person set time_zone = $2 where person_id = $1")
            .bind(person.caller.person_id.0)
            .bind(zone)
            .execute(&app.pool)
            .await
            .unwrap();
    }
    // At seven tomorrow in Auckland: seven or eight hours and a half before that in Kolkata.
    sqlx::query(
        "update runtime set phase = 'asleep', sleep_depth = 'frozen', schedule_name = 'daily digest', schedule_at = due.at,
                            wakes_at = due.at - interval '15 seconds'
           from (select ((now() at time zone 'Pacific/Auckland')::date + 1 + time '07:00') at time zone 'Pacific/Auckland' as at) due
          where runtime_id = $1",
    )
    .bind(runtime.0)
    .execute(&app.pool)
    .await
    .unwrap();
    let times = |told: &str| told.split_once("It sleeps, and wakes ").unwrap().1.split_once("</p>").unwrap().0.to_owned();
    let (_, told) = page(&app, &ada, &format!("/runtimes/{runtime}")).await;
    let told = times(&told);
    assert!(told.contains(">tomorrow 06:59</time> for <em>daily digest</em>, due 07:00.") && !told.contains("UTC"), "{told}");
    let (_, told) = page(&app, &root, &format!("/runtimes/{runtime}")).await;
    let told = times(&told);
    let known = [("23:29", "23:30"), ("00:29", "00:30")];
    assert!(
        known.iter().any(|(wakes, due)| told.contains(&format!(" {wakes}</time>")) && told.contains(&format!(", due {due}."))),
        "{told}"
    );
    assert!(page(&app, &root, "/admin/runtimes").await.1.contains("for <em>daily digest</em>"));
    assert!(page(&app, &ada, "/").await.1.contains(">tomorrow 06:59</time>"));

    // What finishes has its bound by the clock, and may be cut short.
    sqlx::query("update runtime set phase = 'draining', desired_state = 'stopped', drain_until = now() + interval '90 seconds'")
        .execute(&app.pool)
        .await
        .unwrap();
    let finishing = view(&app, &ada, runtime).await;
    assert_eq!((finishing.phase, finishing.desired_state), (Phase::Draining, DesiredState::Stopped));
    let (_, told) = page(&app, &ada, &format!("/runtimes/{runtime}")).await;
    for part in ["It finishes what it does, and then stops. Until ", " at the latest, 1 min ", "Stop now"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_try_after_a_crash_counts_its_own_time(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    settle(&app, runtime).await;
    sqlx::query("update runtime set wished_at = wished_at - interval '3 days'").execute(&app.pool).await.unwrap();
    app.engine.end(runtime, 1);
    app.backend.orchestrator.step(runtime).await.unwrap();
    let broken = view(&app, &ada, runtime).await;
    assert_eq!((broken.phase, broken.progress), (Phase::Retrying, None), "nothing is under way while it waits");
    assert!(broken.retry.unwrap().begins_at.unwrap() > broken.told_at);
    assert!(page(&app, &ada, &format!("/runtimes/{runtime}")).await.1.contains("Try 2 of 5 begins in "));

    let began = Instant::now();
    let starting = loop {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not try again");
        app.backend.orchestrator.step(runtime).await.unwrap();
        let found = view(&app, &ada, runtime).await;
        if found.progress.is_some() {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(starting.retry.map(|retry| (retry.number, retry.begins_at)), Some((2, None)));
    assert!(starting.progress.unwrap().elapsed_ms < 60_000, "three days would be the time since it was asked for");
}
