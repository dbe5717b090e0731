//! What a page names of its code, so that all of it comes at once.

use crate::support::{Person, TestApp};
use contract::Role;
use server::data::Pool;

/// The files of a page's code, as the splitter leaves them.
const FILES: [&str; 7] =
    ["clawloops.css", "clawloops.js", "clawloops_bg.wasm", "__wasm_split.js", "chunk_3.wasm", "split_admin.wasm", "split_own.wasm"];

/// The names of the built files that a page's head loads, without those that every page does, and which part it says that it is in.
async fn named(app: &TestApp, person: &Person, path: &str) -> (Option<String>, Vec<String>) {
    let answer = app.ask("GET", path).header("cookie", &person.cookie).header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let page = answer.text().await.unwrap();
    let head = page.split("</head>").next().unwrap();
    let part = head.split("<meta name=\"part\" content=\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    let mut files: Vec<String> =
        head.split("href=\"/pkg/").skip(1).map(|rest| rest.split('"').next().unwrap().rsplit('/').next().unwrap().to_owned()).collect();
    let begin = files.drain(..4).collect::<Vec<_>>();
    assert_eq!(begin, ["clawloops.css", "clawloops.js", "__wasm_split.js", "clawloops_bg.wasm"], "{path}");
    (part, files)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_page_names_the_part_that_it_is_in_and_no_other(pool: Pool) {
    let site = tempfile::tempdir().unwrap();
    let built = site.path().join("pkg");
    std::fs::create_dir(&built).unwrap();
    for file in FILES {
        std::fs::write(built.join(file), file).unwrap();
    }
    std::fs::write(built.join("parts.txt"), "admin chunk_3.wasm split_admin.wasm\nown chunk_3.wasm split_own.wasm\n").unwrap();
    let app = TestApp::with(pool, |config| config.entry.site_dir = site.path().to_owned()).await;
    let mira = app.person("mira", Role::Administrator).await;
    let runtime = app.runtime(&mira, "mira-agent", None).await;

    assert_eq!(named(&app, &mira, "/").await, (None, vec![]));
    let own = [
        "/runtimes".to_owned(),
        format!("/runtimes/{runtime}"),
        format!("/runtimes/{runtime}/open"),
        "/models".to_owned(),
        "/usage".to_owned(),
        "/security".to_owned(),
    ];
    for path in own {
        let (part, files) = named(&app, &mira, &path).await;
        assert_eq!((part.as_deref(), files), (Some("own"), vec!["chunk_3.wasm".to_owned(), "split_own.wasm".to_owned()]), "{path}");
    }
    let person = format!("people/{}", mira.caller.person_id);
    for path in ["", "people", &person, "groups", "runtimes", "profiles", "models", "budgets", "requests", "usage", "audit"] {
        let (part, files) = named(&app, &mira, format!("/admin/{path}").trim_end_matches('/')).await;
        assert_eq!((part.as_deref(), files), (Some("admin"), vec!["chunk_3.wasm".to_owned(), "split_admin.wasm".to_owned()]), "{path}");
    }
}
