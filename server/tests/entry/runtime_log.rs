//! The kept log of a runtime, as people get at it: on its page, searched, and as a file; nobody else's.

use crate::support::TestApp;
use contract::{Role, RuntimeId};
use server::data::Pool;
use std::path::PathBuf;

fn folder(app: &TestApp, runtime: RuntimeId) -> PathBuf {
    app.backend.config.data.data_dir.join("logs").join(runtime.to_string())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_log_is_searched_and_downloaded_by_its_owner_and_an_administrator_only(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, bob, root) =
        (app.person("ada", Role::Person).await, app.person("bob", Role::Person).await, app.person("root", Role::Administrator).await);
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    let folder = folder(&app, runtime);
    std::fs::create_dir_all(&folder).unwrap();
    let (older, newer) = (folder.join("0000000001.log"), folder.join("0000000002.log"));
    std::fs::write(older, "2026-11-22T08:12:04.000000001Z <b>first</b> words\n").unwrap();
    std::fs::write(newer, "2026-11-22T08:12:05.000000001Z other words\n2026-11-22T08:12:06.000000001Z last\n").unwrap();

    let page = async |person: &crate::support::Person, query: &str| {
        let asked = app.ask("GET", &format!("/runtimes/{runtime}{query}")).header("accept", "text/html").header("cookie", &person.cookie);
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, whole) = page(&ada, "").await;
    assert_eq!(status, 200);
    assert!(
        whole.contains("2026-11-22T08:12:04Z &lt;b&gt;first&lt;/b&gt; words\n2026-11-22T08:12:05Z other words\n2026-11-22T08:12:06Z last")
    );
    // A form without script: its text is in the address, and in the field again.
    let (_, found) = page(&ada, "?find=OTHER+words").await;
    let log = found.split("<pre").nth(1).unwrap().split("</pre>").next().unwrap();
    assert!(log.contains("other words") && !log.contains("first") && found.contains("value=\"OTHER words\""), "{log}");
    let (_, nothing) = page(&ada, "?find=%3Cscript%3Ealert%281%29").await;
    assert!(
        nothing.contains("No line contains “&lt;script>alert(1)") || nothing.contains("No line contains “&lt;script&gt;alert(1)"),
        "{nothing}"
    );
    assert_eq!(page(&root, "?find=last").await.0, 200);
    assert_eq!(page(&bob, "").await.0, 404);

    let download = async |cookie: &str, id: &str| {
        app.ask("GET", &format!("/runtimes/{id}/log")).header("cookie", cookie).header("accept", "text/html").send().await.unwrap()
    };
    for person in [&ada, &root] {
        let answer = download(&person.cookie, &runtime.to_string()).await;
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-disposition"), "attachment; filename=\"ada-agent.log.txt\"");
        assert_eq!((header("content-type"), header("cache-control")), ("text/plain; charset=utf-8".into(), "no-store".into()));
        assert_eq!(header("x-content-type-options"), "nosniff");
        let text = answer.text().await.unwrap();
        assert!(text.starts_with("2026-11-22T08:12:04.000000001Z <b>first</b> words\n") && text.ends_with("Z last\n"), "{text}");
    }
    for (cookie, id) in [
        (&bob.cookie, runtime.to_string()),
        (&ada.cookie, server::clock::new_id::<RuntimeId>().to_string()),
        (&ada.cookie, "..%2f..".into()),
    ] {
        let answer = download(cookie, &id).await;
        assert_eq!(answer.status(), 404, "{id}");
        assert!(!answer.text().await.unwrap().contains("first"));
    }
    // Another site may not read it either.
    let foreign = app.ask("GET", &format!("/runtimes/{runtime}/log")).header("cookie", &ada.cookie).header("sec-fetch-site", "same-site");
    assert_eq!(foreign.header("sec-fetch-mode", "no-cors").send().await.unwrap().status(), 403);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_search_has_an_end(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    let ask = async |find: String| {
        let form = format!("runtime_id={runtime}&find={find}");
        let asked = app.ask("POST", "/api/ui/runtime-logs").header("cookie", &ada.cookie).header("origin", app.origin());
        asked.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap()
    };
    assert_eq!(ask("x".repeat(200)).await.status(), 200);
    let refused = ask("x".repeat(201)).await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("200 characters"));
}
