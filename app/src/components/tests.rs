//! Fragments as the server renders them.

use super::{code, limit, more, notice, start_steps::StartLine, state};
use contract::{BudgetId, BudgetView, Code, KeyId, Phase, Problem, Progress, SetBy, Subject, Unit, Window};
use leptos::prelude::*;
use time::macros::datetime;

/// A fragment's HTML, without the marks that hydration needs.
fn html(part: impl FnOnce() -> AnyView) -> String {
    let html = Owner::new().with(|| part().to_html());
    let mut clean = String::new();
    let mut rest = html.as_str();
    while let Some((before, after)) = rest.split_once("<!") {
        clean.push_str(before);
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    clean.push_str(rest);
    clean
}

fn limit_of(amount: i64, settled: i64, reserved: i64) -> BudgetView {
    BudgetView {
        budget_id: BudgetId(Default::default()),
        subject: Subject::Everyone,
        name: String::new(),
        set_by: SetBy::Administrator,
        extra: 0,
        window: Window::Month,
        unit: Unit::Money,
        amount,
        settled,
        reserved,
        resets_at: None,
    }
}

#[test]
fn a_state_is_text_and_shape() {
    insta::assert_snapshot!(html(|| state::of(Phase::Ready, None)), @r#"<span class="state running">Running</span>"#);
    insta::assert_snapshot!(html(|| state::of(Phase::Waiting, None)), @r#"<span class="state starting">Starting</span>"#);
    insta::assert_snapshot!(html(|| state::of(Phase::Asleep, None)), @r#"<span class="state sleeping">Asleep</span>"#);
    insta::assert_snapshot!(html(|| state::of(Phase::Draining, None)), @r#"<span class="state starting">Finishing</span>"#);
    insta::assert_snapshot!(html(|| state::of(Phase::Ready, Some(Code::RuntimeSlow))), @r#"<span class="state warned">Answers slowly</span>"#);
    insta::assert_snapshot!(html(|| state::of(Phase::Retrying, Some(Code::RuntimeFlapping))), @r#"<span class="state starting">Keeps ending</span>"#);
    insta::assert_snapshot!(html(|| state::of(Phase::Retrying, Some(Code::RuntimeNotReady))), @r#"<span class="state starting">Does not get ready</span>"#);
    insta::assert_snapshot!(html(|| state::of(Phase::Failed, None)), @r#"<span class="state failed">Stopped working</span>"#);
}

#[test]
fn a_meter_has_two_parts_and_a_tone() {
    insta::assert_snapshot!(html(|| limit::meter(&limit_of(20_000_000, 11_800_000, 800_000))), @r#"<div role="img" aria-label="59 % used, 4 % in progress" class="meter ok" style="--v:59%;--r:4%;"></div>"#);
    assert!(html(|| limit::meter(&limit_of(100, 85, 0))).contains("meter warn"));
    assert!(html(|| limit::meter(&limit_of(100, 90, 6))).contains("meter bad"));
    assert!(html(|| limit::inside(&limit_of(100, 90, 10))).contains("used up"));
}

/// Nobody is sent to an administrator for a limit of their own.
#[test]
fn ones_own_limit_is_changed_and_not_asked_for() {
    let others = limit_of(100, 100, 0);
    let own =
        BudgetView { subject: Subject::Key(KeyId(Default::default())), name: "laptop".to_owned(), set_by: SetBy::Owner, ..others.clone() };
    assert!(html(|| limit::inside(&own)).contains("You set it yourself: change it on the page Models &amp; keys."));
    let told = html(|| limit::warnings(std::slice::from_ref(&own)));
    assert!(told.contains(r#"<a href="/models">Change it</a>"#) && !told.contains("Ask for more"), "{told}");
    assert!(html(|| limit::warnings(std::slice::from_ref(&others))).contains("Ask for more"));
    assert_eq!(html(|| more::ask_opener(std::slice::from_ref(&own))), "");
    assert!(html(|| more::ask_opener(&[own, others])).contains("Ask for more"));
}

#[test]
fn a_problem_says_what_to_do_and_its_id() {
    let told = Problem { id: "01JD8Q7F4M".to_owned(), ..Problem::new(Code::Conflict, "It runs <already>.").remedy("Stop it first.") };
    let html = html(|| notice::problem(&told));
    for part in [
        r#"role="alert""#,
        r#"data-code="CONFLICT""#,
        "It runs &lt;already&gt;.",
        "Stop it first.",
        r#"<span class="mono">01JD8Q7F4M</span>"#,
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

#[test]
fn a_start_says_how_long_it_takes() {
    let progress = Progress { began_at: datetime!(2026-11-22 08:12 UTC), elapsed_ms: 5_000, expected_ms: Some(10_000), steps: vec![] };
    let html = html(|| view! { <StartLine name="research".to_owned() progress=progress /> }.into_any());
    for part in [r#"aria-valuenow="45""#, "--v:45%", "Usually ready in 10 s on this machine. 5 s so far.", "Starting research"] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

#[test]
fn a_first_start_shows_no_bar() {
    let progress = Progress { began_at: datetime!(2026-11-22 08:12 UTC), elapsed_ms: 5_000, expected_ms: None, steps: vec![] };
    let html = html(|| view! { <StartLine name="research".to_owned() progress=progress /> }.into_any());
    assert!(html.contains("no expected time yet. 5 s so far."), "{html}");
    assert!(!html.contains("progressbar"), "{html}");
}

#[test]
fn a_secret_stands_whole_and_can_be_copied() {
    let html = html(|| code::secret("key", "cl_live_abc_def".to_owned(), "Shown once."));
    for part in ["<code>cl_live_abc_def</code>", r#"aria-label="Copy key""#, "Shown once."] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}
