//! Live updates.

use crate::support::{Person, TestApp};
use contract::{Role, RuntimeId};
use server::data::{self, Pool, listen::Change};
use std::time::Duration;

async fn listen(app: &TestApp, person: &Person) -> reqwest::Response {
    let mut answer = app.ask("GET", "/events").header("cookie", &person.cookie).header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "text/event-stream"));
    assert!(!answer.headers().contains_key("content-encoding"));
    assert!(String::from_utf8_lossy(&answer.chunk().await.unwrap().unwrap()).contains("retry: 2000"));
    answer
}

async fn tell(app: &TestApp, change: Change) {
    data::listen::notify(&mut app.pool.acquire().await.unwrap(), change).await.unwrap();
}

async fn heard(stream: &mut reqwest::Response) -> String {
    let chunk = tokio::time::timeout(Duration::from_secs(5), stream.chunk()).await.unwrap().unwrap().unwrap();
    String::from_utf8_lossy(&chunk).into_owned()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_person_hears_of_their_own_changes_and_the_stream_ends_with_the_session(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, bob) = (app.person("ada", Role::Person).await, app.person("bob", Role::Person).await);
    let root = app.person("root", Role::Administrator).await;
    let (mut to_ada, mut to_root) = (listen(&app, &ada).await, listen(&app, &root).await);
    let runtime_id: RuntimeId = server::clock::new_id();
    tell(&app, Change::Runtime { runtime_id, person_id: bob.caller.person_id }).await;
    tell(&app, Change::Usage { person_id: ada.caller.person_id }).await;

    let first = heard(&mut to_ada).await;
    assert!(first.contains("\"what\":\"usage\"") && !first.contains("runtime"), "{first}");
    assert!(heard(&mut to_root).await.contains(&runtime_id.to_string()));

    app.backend.ports().accounts.sign_out(&ada.caller).await.unwrap();
    assert!(heard(&mut to_ada).await.contains("session_ended"));
    assert!(tokio::time::timeout(Duration::from_secs(2), to_ada.chunk()).await.unwrap().unwrap().is_none());
    // To an administrator it is news about people, not the end of their own page.
    let news = heard(&mut to_root).await;
    assert!(news.contains("\"what\":\"people\"") || heard(&mut to_root).await.contains("\"what\":\"people\""), "{news}");
}
