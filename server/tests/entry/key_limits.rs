//! The limits of one's own key on the page Models & keys: plain forms, posted as a browser without script posts them.

use crate::support::{Person, TestApp};
use contract::{KeyEnd, KeyId, KeyWish, Role};
use server::data::Pool;

/// Posts a form of the page. The answer leads back to it.
async fn post(app: &TestApp, person: &Person, verb: &str, form: &[(&str, &str)]) -> reqwest::Response {
    app.ask("POST", &format!("/api/ui/{verb}"))
        .header("cookie", &person.cookie)
        .header("origin", app.origin())
        .header("referer", format!("{}/models", app.origin()))
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish())
        .send()
        .await
        .unwrap()
}

/// A page as it is read, without the marks between its parts.
async fn page(app: &TestApp, person: &Person, path: &str) -> String {
    let answer = app.ask("GET", path).header("accept", "text/html").header("cookie", &person.cookie).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap().replace("<!>", "").replace("<!---->", "")
}

async fn key(app: &TestApp, person: &Person) -> KeyId {
    let wish = KeyWish { name: "laptop".to_owned(), models: None, ends: KeyEnd::Never, limits: Vec::new() };
    app.backend.ports().models.make_key(&person.caller, wish).await.unwrap().key.key_id
}

#[sqlx::test(migrations = "../migrations")]
async fn an_owner_limits_a_key_with_a_plain_form_and_sees_who_set_what(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let mira = app.person("mira", Role::Administrator).await;
    let eve = app.person("eve", Role::Person).await;
    let id = key(&app, &ada).await.to_string();
    assert!(page(&app, &ada, "/models").await.contains("Limits of laptop"));

    let day = |amount| [("key_id", id.as_str()), ("amount", amount), ("unit", "requests"), ("window", "day")];
    let answer = post(&app, &ada, "set-key-limit", &day("60")).await;
    assert_eq!(answer.status().as_u16(), 302);
    let location = answer.headers()["location"].to_str().unwrap();
    assert!(location.contains("/models") && !location.contains("__err"), "{location}");
    let shown = page(&app, &ada, "/models").await;
    assert!(shown.contains("At most 60 calls a day (set by you)"), "{shown}");

    // The administrator's page shows whose it is, and sets another one of the same kind beside it.
    let budgets = page(&app, &mira, "/admin/budgets").await;
    assert!(budgets.contains("set by its owner"), "{budgets}");
    let subject = format!("key:{id}");
    let limit = [("subject", subject.as_str()), ("amount", "40"), ("unit", "requests"), ("window", "day")];
    assert_eq!(post(&app, &mira, "set-limit", &limit).await.status().as_u16(), 302);
    let shown = page(&app, &ada, "/models").await;
    assert!(shown.contains("40 calls a day (set by an administrator)") && shown.contains("60 calls a day (set by you)"), "{shown}");

    // What may not be is said on the page, with nothing changed.
    let kind = [("key_id", id.as_str()), ("unit", "requests"), ("window", "day")];
    assert_eq!(post(&app, &ada, "remove-key-limit", &kind).await.status().as_u16(), 302);
    for (who, verb, form, told) in [
        (&ada, "remove-key-limit", &kind[..], "An administrator set this limit."),
        (&ada, "set-key-limit", &day(""), "Write how much it is."),
        (&ada, "set-key-limit", &day("many"), "Write a whole number of calls"),
        (&ada, "set-limit", &limit, "Only an administrator may do this."),
        (&eve, "set-key-limit", &day("9"), "This key does not exist, or it is not yours."),
        (&eve, "remove-key-limit", &kind, "This key does not exist, or it is not yours."),
    ] {
        let answer = post(&app, who, verb, form).await;
        let location = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
        assert!(answer.status().as_u16() == 302 && location.contains("__err"), "{verb} {form:?}: {} {location}", answer.status());
        let path = location.split_once("/models").map(|(_, query)| format!("/models{query}")).unwrap();
        let answer = app.ask("GET", &path).header("accept", "text/html").header("cookie", &who.cookie).send().await.unwrap();
        let shown = answer.text().await.unwrap();
        // What is asked of another page's verb is not said here.
        assert!(verb == "set-limit" || shown.contains(told), "{verb} {form:?}: {told} is not on the page");
    }
    let shown = page(&app, &ada, "/models").await;
    assert!(shown.contains("At most 40 calls a day (set by an administrator)"), "{shown}");
}
