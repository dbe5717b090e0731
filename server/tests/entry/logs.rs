//! What the log never says.

use crate::support::{TestApp, echo};
use contract::Role;
use server::data::Pool;
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::fmt::MakeWriter;

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_link_that_works_once_is_in_no_log_however_much_is_logged(pool: Pool) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(log.clone()).with_ansi(false).finish();
    // For all tests of this process: what one thread alone listens to may be taken for silent by another.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let ticket = app.ticket(&ada, runtime, "ada-agent").await;
    let token = "one-use-token-0123456789-0123456789-01234567";
    for path in [format!("/setup/{token}"), format!("/invitation/{token}")] {
        for site in ["none", "cross-site"] {
            let asked =
                app.ask("GET", &path).header("accept", "text/html").header("sec-fetch-site", site).header("sec-fetch-mode", "navigate");
            asked.send().await.unwrap();
            let posted = app.ask("POST", &path).header("origin", "http://elsewhere.example").header("sec-fetch-site", site);
            posted.body("password=never-in-a-log-either").send().await.unwrap();
        }
    }
    app.ask_runtime("GET", "ada-agent", &ticket).send().await.unwrap();

    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for heard in ["path=\"/setup/\"", "path=\"/invitation/\"", "was refused", "path=\"/__clawloops/enter\""] {
        assert!(said.contains(heard), "{heard} in\n{said}");
    }
    let ticket = ticket.split_once("ticket=").unwrap().1;
    let session = ada.cookie.split_once('=').unwrap().1;
    for secret in [token, "never-in-a-log-either", ticket, session] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
}
