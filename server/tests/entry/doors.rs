//! Closed by default: every route signed out, other people's things, other sites, other hosts.

use crate::support::{PASSWORD, TestApp, echo};
use contract::Role;
use server::{data::Pool, ingress::session::OPEN};

/// Every address of the server: the pages and server functions that the app registers, and the entry's own.
fn all_routes() -> Vec<(String, String)> {
    let mut routes: Vec<(String, String)> =
        leptos_axum::generate_route_list(app::App).iter().map(|page| ("GET".to_owned(), page.path().to_owned())).collect();
    routes.extend(leptos::server_fn::axum::server_fn_paths().map(|(path, method)| (method.to_string(), path.to_owned())));
    for own in ["/healthz", "/events", "/open/{id}", "/runtimes/{id}/log", "/trust", "/trust/clawloops.crt", "/nowhere"] {
        routes.push(("GET".to_owned(), own.to_owned()));
    }
    routes
}

fn filled(path: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { "01a203ad-8c3a-72b3-8830-951487db6298" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_is_signed_out_finds_every_door_closed_but_those_on_the_list(pool: Pool) {
    let app = TestApp::on(pool).await;
    let routes = all_routes();
    assert!(routes.len() > 20, "the walk found only {} routes", routes.len());
    let mut open = Vec::new();
    for (method, path) in routes {
        let path = filled(&path);
        let answer = app.ask(&method, &path).header("accept", "application/json").header("origin", app.origin()).send().await.unwrap();
        if answer.status() == 401 {
            let problem: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], "UNAUTHENTICATED", "{method} {path}");
        } else {
            open.push(path);
        }
    }
    for path in &open {
        assert!(server::ingress::session::is_open(path), "{path} answers without a session and is not on the list");
    }
    // The list holds nothing that is not there.
    for entry in OPEN.iter().filter(|entry| **entry != "/v1/*") {
        let start = entry.trim_end_matches('*');
        assert!(open.iter().any(|path| path.starts_with(start)), "{entry} is on the list, but no such route is open");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_page_leads_to_sign_in_and_back(pool: Pool) {
    let app = TestApp::on(pool).await;
    let answer = app.ask("GET", "/usage?days=7").header("accept", "text/html").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, "/sign-in?to=%2Fusage%3Fdays%3D7"));

    let ada = app.person("ada", Role::Person).await;
    let page = app.ask("GET", "/").header("accept", "text/html").header("cookie", &ada.cookie).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("'nonce-") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(page.text().await.unwrap().contains(&format!("nonce=\"{nonce}\"")));

    let unknown = app.ask("GET", "/nowhere").header("accept", "text/html").header("cookie", &ada.cookie).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_form_of_another_site_is_refused_and_does_nothing(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let form = "current=three+plain+words&new=four+other+plain+words";
    let foreign =
        [("sec-fetch-site", "cross-site".to_owned()), ("sec-fetch-site", "same-site".to_owned()), ("origin", app.runtime_origin("bob"))];
    for (name, value) in foreign {
        let answer = app
            .ask("POST", "/api/ui/change-password")
            .header("cookie", &ada.cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html")
            .header(name, &value)
            .body(form)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 403, "{name}: {value}");
        assert!(answer.text().await.unwrap().contains("another site"));
    }
    // The old password still holds, and the very same form from our own page changes it.
    let sign_in = |password: &'static str| {
        app.ask("POST", "/api/ui/sign-in")
            .header("origin", app.origin())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("email=ada%40example.com&password={}", password.replace(' ', "+")))
            .send()
    };
    assert!(sign_in(PASSWORD).await.unwrap().headers().contains_key("set-cookie"));
    let own = app
        .ask("POST", "/api/ui/change-password")
        .header("cookie", &ada.cookie)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", app.origin())
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!(own.status(), 200, "{}", own.text().await.unwrap());
    assert!(!sign_in(PASSWORD).await.unwrap().headers().contains_key("set-cookie"));
}

#[sqlx::test(migrations = "../migrations")]
async fn another_persons_runtime_does_not_exist(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, bob, root) =
        (app.person("ada", Role::Person).await, app.person("bob", Role::Person).await, app.person("root", Role::Administrator).await);
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    for other in [&bob, &root] {
        let answer = app.ask("GET", &format!("/open/{runtime}")).header("cookie", &other.cookie).send().await.unwrap();
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["code"], "RUNTIME_NOT_FOUND");
    }
    // Nor does the cookie of one's own runtime open another's.
    let own = app.runtime(&bob, "bob-agent", Some(echo().await)).await;
    let cookie = app.enter(&bob, own, "bob-agent").await;
    assert_eq!(app.ask_runtime("GET", "bob-agent", "/x").header("cookie", &cookie).send().await.unwrap().status(), 200);
    assert_eq!(app.ask_runtime("GET", "ada-agent", "/x").header("cookie", &cookie).send().await.unwrap().status(), 401);
}

#[sqlx::test(migrations = "../migrations")]
async fn hosts_that_are_not_ours_get_nothing(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    for host in ["127.0.0.1", "evil.example", "clawloops.localhost.evil.example", "a.b.clawloops.localhost"] {
        let answer = app.ask_host("GET", host, "/").header("cookie", &ada.cookie).send().await.unwrap();
        assert_eq!(answer.status(), 421, "{host}");
    }
    assert_eq!(app.ask_host("GET", "127.0.0.1", "/healthz").send().await.unwrap().status(), 200);
    assert_eq!(app.ask_host("GET", "127.0.0.1", "/v1/models").send().await.unwrap().status(), 401);
    assert_eq!(app.ask_runtime("GET", "nobody", "/").send().await.unwrap().status(), 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn passwords_are_not_tried_without_end(pool: Pool) {
    let app = TestApp::on(pool).await;
    let mut last = 0;
    for n in 0..70 {
        let form = format!("email=nobody{n}%40example.com&password=wrong");
        let answer =
            app.ask("POST", "/api/ui/me").header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap();
        last = answer.status().as_u16();
    }
    assert_eq!(last, 429);
}
