//! What a person sees of their wishes, and what an administrator does about everyone's runtimes.

use crate::support::{Person, TestApp};
use contract::{Acted, Phase, Role, RuntimeId, RuntimeView, TaskKind, TaskStatus, TaskView};
use server::{data::Pool, orchestrator::reconcile::Next};

/// Steps until the runtime rests.
pub async fn settle(app: &TestApp, runtime: RuntimeId) {
    for _ in 0..200 {
        match app.backend.orchestrator.step(runtime).await.unwrap() {
            Next::Again => {}
            Next::After(time) => tokio::time::sleep(time.min(std::time::Duration::from_millis(50))).await,
            Next::Rest => return,
        }
    }
    panic!("does not come to rest");
}

pub async fn post(app: &TestApp, person: &Person, verb: &str, fields: &str, accept: &str) -> reqwest::Response {
    let asked = app.ask("POST", &format!("/api/ui/{verb}")).header("cookie", &person.cookie).header("origin", app.origin());
    let asked = asked.header("content-type", "application/x-www-form-urlencoded").header("accept", accept);
    asked.header("referer", format!("{}/admin/runtimes", app.origin())).body(fields.to_owned()).send().await.unwrap()
}

pub async fn view(app: &TestApp, person: &Person, runtime: RuntimeId) -> RuntimeView {
    app.backend.ports().runtimes.get(&person.caller, runtime).await.unwrap()
}

pub const JSON: &str = "application/json";

#[sqlx::test(migrations = "../migrations")]
async fn a_person_follows_what_was_asked_and_nobody_else_does(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, bob) = (app.person("ada", Role::Person).await, app.person("bob", Role::Person).await);
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    settle(&app, runtime).await;
    assert_eq!(post(&app, &ada, "stop-runtime", &format!("runtime_id={runtime}"), JSON).await.status(), 200);
    settle(&app, runtime).await;
    let fields = format!("runtime_id={runtime}");
    let tasks: Vec<TaskView> = post(&app, &ada, "runtime-tasks", &fields, JSON).await.json().await.unwrap();
    let told: Vec<_> = tasks.iter().map(|task| (task.kind, task.status, task.asked_by.as_deref())).collect();
    let done = TaskStatus::Succeeded;
    assert_eq!(told, [(TaskKind::Stop, done, Some("ada")), (TaskKind::Create, done, Some("ada"))]);
    let page =
        app.ask("GET", &format!("/runtimes/{runtime}")).header("cookie", &ada.cookie).header("accept", "text/html").send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("What was asked") && page.contains("<b>Create<!></b>"), "{page}");
    let refused = post(&app, &bob, "runtime-tasks", &fields, JSON).await;
    assert_eq!(refused.status(), 404);
    assert!(refused.text().await.unwrap().contains("RUNTIME_NOT_FOUND"));
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_waits_sees_their_place_and_its_reason(pool: Pool) {
    let app = TestApp::with(pool, |config| config.runtimes.memory_budget_mib = Some(3 * 1024)).await;
    let ada = app.person("ada", Role::Person).await;
    let mut waiting = Vec::new();
    for name in ["one", "two", "three"] {
        let runtime = app.runtime(&ada, name, None).await;
        for _ in 0..6 {
            app.backend.orchestrator.step(runtime).await.unwrap();
        }
        waiting.push(view(&app, &ada, runtime).await);
    }
    let turns: Vec<_> = waiting.iter().map(|view| view.turn.map(|turn| (turn.ahead, turn.memory))).collect();
    assert_eq!(turns, [None, Some((0, true)), Some((1, true))], "2 GiB each of 3");
    let page = app.ask("GET", &format!("/runtimes/{}", waiting[2].runtime_id)).header("cookie", &ada.cookie).header("accept", "text/html");
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Waiting for memory: 1 ahead of you.") && page.contains("Waiting its turn"), "{page}");
}

#[sqlx::test(migrations = "../migrations")]
async fn tries_restarts_and_the_last_error_are_told(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    settle(&app, runtime).await;
    assert_eq!((view(&app, &ada, runtime).await.restarts, view(&app, &ada, runtime).await.last_error), (0, None));
    app.engine.end(runtime, 137);
    app.backend.orchestrator.step(runtime).await.unwrap();
    let broken = view(&app, &ada, runtime).await;
    assert_eq!((broken.phase, broken.retry.map(|retry| (retry.number, retry.of)), broken.restarts), (Phase::Retrying, Some((2, 5)), 1));
    let began = std::time::Instant::now();
    while view(&app, &ada, runtime).await.phase != Phase::Ready {
        assert!(began.elapsed() < std::time::Duration::from_secs(20));
        settle(&app, runtime).await;
    }
    let well = view(&app, &ada, runtime).await;
    assert_eq!((well.problem, well.retry, well.restarts), (None, None, 1));
    assert!(well.last_error.unwrap().message.contains("ran out of memory"));
    // It outlives the next wish, and what is asked for is no restart.
    post(&app, &ada, "restart-runtime", &format!("runtime_id={runtime}"), JSON).await;
    settle(&app, runtime).await;
    let again = view(&app, &ada, runtime).await;
    assert!(again.restarts == 1 && again.last_error.is_some(), "{again:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_administrator_acts_on_many_and_each_answers_by_itself(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, bob, root) =
        (app.person("ada", Role::Person).await, app.person("bob", Role::Person).await, app.person("root", Role::Administrator).await);
    let (first, second) = (app.runtime(&ada, "ada-agent", None).await, app.runtime(&bob, "bob-agent", None).await);
    let nobody: RuntimeId = server::clock::new_id();
    for runtime in [first, second] {
        settle(&app, runtime).await;
    }
    let of = |ids: &[RuntimeId]| ids.iter().map(|id| format!("&runtime_ids%5B%5D={id}")).collect::<String>();

    // Not for people, not even over their own.
    let refused = post(&app, &ada, "act-on-runtimes", &format!("act=stop{}", of(&[first])), JSON).await;
    assert_eq!(refused.status(), 403);
    assert_eq!(post(&app, &ada, "all-runtime-stats", "", JSON).await.status(), 403);
    assert_eq!(view(&app, &ada, first).await.phase, Phase::Ready);

    let used: Vec<(RuntimeId, contract::RuntimeUse)> = post(&app, &root, "all-runtime-stats", "", JSON).await.json().await.unwrap();
    assert_eq!(used.len(), 2);

    // One that does not exist stops none of the others; one that is named twice is asked once.
    let answer = post(&app, &root, "act-on-runtimes", &format!("act=stop{}", of(&[first, nobody, second, first])), JSON).await;
    assert_eq!(answer.status(), 200);
    let acted: Vec<Acted> = answer.json().await.unwrap();
    let problem = |id| acted.iter().find(|one| one.runtime_id == id).unwrap().problem.as_ref().map(|problem| problem.code.as_str());
    assert_eq!((acted.len(), problem(first), problem(second), problem(nobody)), (3, None, None, Some("RUNTIME_NOT_FOUND")));
    for (person, runtime) in [(&ada, first), (&bob, second)] {
        settle(&app, runtime).await;
        assert_eq!(view(&app, person, runtime).await.phase, Phase::Stopped);
    }

    // Without script the browser is led back, with what was refused in a sentence; whoever is disabled gets nothing started.
    app.backend.ports().admin.set_status(&root.caller, bob.caller.person_id, contract::PersonStatus::Disabled).await.unwrap();
    let answer = post(&app, &root, "act-on-runtimes", &format!("act=start{}", of(&[first, second])), "text/html").await;
    assert_eq!(answer.status(), 302);
    let back = answer.headers()["location"].to_str().unwrap().to_owned();
    let page =
        app.ask("GET", back.strip_prefix(&app.origin()).unwrap_or(&back)).header("cookie", &root.cookie).header("accept", "text/html");
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("1 of 2 could not be asked: bob is disabled."), "{page}");
    settle(&app, first).await;
    settle(&app, second).await;
    assert_eq!((view(&app, &ada, first).await.phase, view(&app, &root, second).await.phase), (Phase::Ready, Phase::Stopped));

    // Nothing selected is said, and so is what nobody knows.
    let nothing = post(&app, &root, "act-on-runtimes", "act=stop", JSON).await;
    assert_eq!(nothing.status(), 422);
    assert!(nothing.text().await.unwrap().contains("No runtime is selected."));
    assert_eq!(post(&app, &root, "act-on-runtimes", &format!("act=burn{}", of(&[first])), JSON).await.status(), 422);

    // Each is in the audit log, with whose it was.
    let lines = app.backend.ports().admin.audit(&root.caller, None).await.unwrap();
    let mut told: Vec<_> = lines.iter().filter(|line| line.actor == "root@example.com" && line.action.starts_with("runtime.")).collect();
    told.reverse();
    let told: Vec<_> = told.iter().map(|line| (line.action.as_str(), line.subject.as_str(), line.detail.as_str())).collect();
    let (ada, bob) = ("of ada@example.com", "of bob@example.com");
    assert_eq!(told, [("runtime.stopped", "ada-agent", ada), ("runtime.stopped", "bob-agent", bob), ("runtime.started", "ada-agent", ada)]);
}

#[sqlx::test(migrations = "../migrations")]
async fn groups_are_made_and_filled_by_forms_without_script(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, root) = (app.person("ada", Role::Person).await, app.person("root", Role::Administrator).await);
    let page = async |person: &Person| {
        let asked = app.ask("GET", "/admin/groups").header("cookie", &person.cookie).header("accept", "text/html");
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, denied) = page(&ada).await;
    assert_eq!(status, 403, "{denied}");
    let (status, empty) = page(&root).await;
    assert!(status == 200 && empty.contains("There is no group."), "{empty}");

    const HTML: &str = "text/html";
    // The server leads back to the page that the form was on.
    assert!(post(&app, &root, "add-group", "name=Research", HTML).await.status().is_redirection());
    let group = app.backend.ports().groups.groups(&root.caller).await.unwrap()[0].group_id;
    assert!(page(&root).await.1.contains("Nobody is in this group."));
    assert!(post(&app, &root, "join-group", &format!("group_id={group}&email=ada%40example.com"), HTML).await.status().is_redirection());
    let (_, whole) = page(&root).await;
    assert!(whole.contains("Research") && whole.contains("Take ada out of Research"), "{whole}");
    let unknown = post(&app, &root, "join-group", &format!("group_id={group}&email=nobody%40example.com"), JSON).await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("Nobody has this e-mail address."));
    assert_eq!(post(&app, &ada, "leave-group", &format!("group_id={group}&person_id={}", ada.caller.person_id), JSON).await.status(), 403);
}
