//! The people, runtimes and numbers of the preview. All invented.

use contract::*;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub const GIB: i64 = 1024 * 1024 * 1024;

/// A moment this many minutes ago.
pub fn ago(minutes: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::minutes(minutes)
}

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number)
}

/// Name, address, role.
const PEOPLE: [(&str, &str, Role); 7] = [
    ("Mira Okafor", "mira@acme.example", Role::Administrator),
    ("Ada Lindqvist", "ada@acme.example", Role::Person),
    ("Jonas Berg", "jonas@acme.example", Role::Person),
    ("Sana Khan", "sana@acme.example", Role::Person),
    ("New Person", "new@acme.example", Role::Person),
    ("Per Holm", "per@acme.example", Role::Person),
    ("Lena Fischer", "lena@acme.example", Role::Person),
];

pub fn people() -> Vec<PersonView> {
    let minutes = [0, 3, 0, 12, 1, 8_640, 2];
    PEOPLE
        .iter()
        .zip(minutes)
        .zip(1..)
        .map(|(((name, email, role), seen), number)| PersonView {
            person_id: PersonId(id(number)),
            email: (*email).to_owned(),
            name: (*name).to_owned(),
            role: *role,
            status: if number == 6 { PersonStatus::Disabled } else { PersonStatus::Active },
            created_at: ago(110_000),
            last_seen_at: (number != 5).then(|| ago(seen)),
            sessions: if number == 6 { 0 } else { 2 },
        })
        .collect()
}

/// The person whose address begins with this name.
pub fn caller(name: &str) -> Option<Caller> {
    let person = people().into_iter().find(|person| person.email.split('@').next() == Some(name))?;
    Some(Caller {
        person_id: person.person_id,
        session_id: SessionId(id(900)),
        email: person.email,
        name: person.name,
        role: person.role,
        time_zone: "Europe/Stockholm".to_owned(),
    })
}

/// Owner's number, name, phase, model.
const RUNTIMES: [(u128, &str, Phase); 9] = [
    (2, "research", Phase::Ready),
    (2, "inbox-helper", Phase::Stopped),
    (3, "tickets", Phase::Waiting),
    (4, "research-2", Phase::Failed),
    (4, "crawler", Phase::Retrying),
    (1, "office", Phase::Ready),
    (3, "backlog", Phase::Queued),
    (1, "digest", Phase::Asleep),
    (1, "library", Phase::Draining),
];

pub fn runtimes() -> Vec<RuntimeView> {
    RUNTIMES.iter().zip(100..).map(|((owner, name, phase), number)| runtime(number, *owner, name, *phase)).collect()
}

pub fn runtime(number: u128, owner: u128, name: &str, phase: Phase) -> RuntimeView {
    let broken =
        Problem::new(Code::OutOfMemory, "OpenClaw ran out of memory (2 GiB). Ask for a larger profile.").remedy("Your workspace is safe.");
    let more = if number == 103 {
        MoreMemory::Profile { profile_id: ProfileId(id(801)), name: "Large".to_owned(), memory_bytes: 4 * GIB }
    } else {
        MoreMemory::Ask { whom: Some("mira@acme.example".to_owned()) }
    };
    RuntimeView {
        runtime_id: RuntimeId(id(number)),
        person_id: PersonId(id(owner)),
        owner: people().into_iter().find(|person| person.person_id.0 == id(owner)).map(|person| person.name).unwrap_or_default(),
        name: name.to_owned(),
        origin: format!("http://{name}.clawloops.localhost:3000"),
        desired_state: if phase == Phase::Stopped { DesiredState::Stopped } else { DesiredState::Running },
        phase,
        phase_since: ago(if phase.is_moving() { 0 } else { 245 }),
        told_at: ago(0),
        others_wish: None,
        leftover: None,
        problem: matches!(phase, Phase::Failed | Phase::Retrying).then(|| Problem { id: "01JD8Q7F4M".to_owned(), ..broken }),
        progress: None,
        usual_ms: None,
        turn: (phase == Phase::Queued).then_some(Turn { ahead: 3, memory: true }),
        retry: (phase == Phase::Retrying).then_some(Try { number: 2, of: 5, begins_at: Some(ago(0) + Duration::seconds(9)) }),
        restarts: if name == "research" { 3 } else { 0 },
        last_error: (name == "research")
            .then(|| LastError { message: "OpenClaw ended by itself with exit code 1.".to_owned(), at: ago(900) }),
        calls_paused: (name == "tickets").then(|| LastError { message: "it made 300 model calls within 5 minutes".to_owned(), at: ago(3) }),
        profile_id: ProfileId(id(800)),
        profile: "Standard".to_owned(),
        memory_bytes: 2 * GIB,
        cpu_millis: 2000,
        workspace_bytes: 10 * GIB,
        workspace_used_bytes: (name != "tickets").then_some(1_340 << 20),
        more_memory: matches!(phase, Phase::Failed | Phase::Retrying).then_some(more),
        image: "registry.example/clawloops/openclaw:2026.9.6@sha256:0f3c".to_owned(),
        restart_brings: (name == "research").then(|| "a newer build of the image clawloops/openclaw:2026.9.6".to_owned()),
        sleep: (phase == Phase::Asleep).then(|| SleepView {
            depth: SleepDepth::Frozen,
            wakes_at: Some(ago(-900)),
            wakes_for: Some("daily digest".to_owned()),
            due_at: Some(ago(-900) + Duration::seconds(15)),
        }),
        sleep_rule: SleepRule { chosen_minutes: None, usual_minutes: 30, most_minutes: 0, stop_after_minutes: 480 },
        drain_until: (phase == Phase::Draining).then(|| ago(-2)),
        model: Some("claude-sonnet".to_owned()),
        created_at: ago(60_000),
    }
}

pub fn tasks(runtime_id: RuntimeId) -> Vec<TaskView> {
    let rows = [
        (TaskKind::Start, TaskStatus::Running, "", 0),
        (
            TaskKind::Restart,
            TaskStatus::Failed,
            "Gave up after 5 tries. OpenClaw ran out of memory (2 GiB). Ask for a larger profile.",
            300,
        ),
        (TaskKind::Start, TaskStatus::Superseded, "Superseded by a newer wish: restart.", 301),
        (TaskKind::Create, TaskStatus::Succeeded, "", 60_000),
    ];
    let task = |((kind, status, message, minutes), number): ((TaskKind, TaskStatus, &str, i64), u128)| TaskView {
        task_id: TaskId(id(number)),
        runtime_id,
        asked_by: (kind != TaskKind::Restart).then(|| "Ada Lindqvist".to_owned()),
        kind,
        status,
        message: message.to_owned(),
        created_at: ago(minutes),
        ended_at: status.is_end().then(|| ago(minutes) + Duration::seconds(12)),
    };
    rows.into_iter().zip(850..).map(task).collect()
}

/// Standard, large, and one with a GPU that was withdrawn.
pub fn profiles() -> Vec<ProfileView> {
    let profile = |number: u128, name: &str, description: &str, gib: i64, cpu_millis, runtimes| ProfileView {
        profile_id: ProfileId(id(number)),
        name: name.to_owned(),
        description: description.to_owned(),
        image: None,
        memory_bytes: gib * GIB,
        cpu_millis,
        pids: 512,
        workspace_bytes: 5 * gib * GIB,
        models: None,
        gpu: false,
        oci_runtime: None,
        sleep_after_minutes: None,
        sleep_stop_after_minutes: None,
        position: number as i64 - 800,
        offered: true,
        runtimes,
    };
    vec![
        profile(800, "Standard", "Enough for one agent at work.", 2, 2000, 6),
        profile(801, "Large", "For long tasks with many files and browsers.", 4, 4000, 0),
        ProfileView {
            gpu: true,
            oci_runtime: Some("runsc".to_owned()),
            sleep_after_minutes: Some(15),
            sleep_stop_after_minutes: Some(120),
            models: Some(vec![ModelId(id(202))]),
            offered: false,
            ..profile(802, "Graphics", "With this machine's GPUs.", 8, 4000, 0)
        },
    ]
}

/// A start that began at `began_at`, as it stands now.
pub fn progress(began_at: OffsetDateTime) -> Progress {
    let elapsed_ms = (OffsetDateTime::now_utc() - began_at).whole_milliseconds() as i64;
    let ends = [100, 400, 800, i64::MAX];
    let mut begins = 0;
    let steps = StartStep::ALL
        .into_iter()
        .zip(ends)
        .map(|(step, ends)| {
            let began = (elapsed_ms >= begins).then(|| began_at + Duration::milliseconds(begins));
            let took_ms = (elapsed_ms >= ends).then(|| ends - begins);
            begins = ends;
            StepView { step, began_at: began, took_ms }
        })
        .collect();
    Progress { began_at, elapsed_ms, expected_ms: Some(11_000), steps }
}

pub fn models() -> Vec<ModelView> {
    let price = |input, output| Some(Price { input: Micros(input), cached_input: Micros(input / 10), output: Micros(output) });
    type Row = (&'static str, &'static str, u128, &'static str, i64, Option<Price>, bool);
    let rows: [Row; 7] = [
        ("claude-sonnet", "Anthropic", 1, "claude-sonnet-5", 200_000, price(3_000_000, 15_000_000), true),
        ("gpt-mini", "OpenAI", 2, "gpt-6-mini", 400_000, price(250_000, 2_000_000), true),
        ("qwen-local", "This machine", 3, "qwen4:14b", 32_000, Some(Price::FREE), true),
        ("demo", "Demo", 4, "demo", 8_000, Some(Price::FREE), true),
        ("gpt-image", "OpenAI", 2, "gpt-image-2", 32_000, None, false),
        ("pictures", "OpenAI", 2, "dall-e-3", 4_000, Some(Price::each(CountedIn::Images, Micros(80_000))), true),
        ("dictation", "OpenAI", 2, "whisper-1", 4_000, Some(Price::each(CountedIn::Seconds, Micros(6_000))), true),
    ];
    rows.into_iter()
        .zip(200..)
        .map(|((name, provider, provider_id, upstream, context_tokens, price, published), number)| ModelView {
            model_id: ModelId(id(number)),
            name: name.to_owned(),
            description: if name == "demo" {
                "Answers with a fixed text. Add a provider for real answers.".to_owned()
            } else {
                String::new()
            },
            provider_id: ProviderId(id(300 + provider_id)),
            provider: provider.to_owned(),
            upstream: upstream.to_owned(),
            context_tokens,
            output_tokens: 8_000,
            price,
            counted_in: match name {
                "pictures" => CountedIn::Images,
                "dictation" => CountedIn::Seconds,
                _ => CountedIn::Tokens,
            },
            published,
            groups: None,
            is_default: name == "claude-sonnet",
            fallbacks: if name == "claude-sonnet" { vec!["gpt-mini".to_owned()] } else { Vec::new() },
            unhealthy: (name == "qwen-local").then(|| Unhealthy {
                since: ago(4),
                until: ago(0) + Duration::seconds(40),
                said: "It cannot be reached".to_owned(),
            }),
        })
        .collect()
}

pub fn providers() -> Vec<ProviderView> {
    let rows = [
        (ProviderKind::Anthropic, "Anthropic", None, Some("3fQ"), 1),
        (ProviderKind::OpenAi, "OpenAI", None, Some("9aZ"), 2),
        (ProviderKind::Local, "This machine", Some("http://127.0.0.1:4190"), None, 1),
        (ProviderKind::Demo, "Demo", None, None, 1),
    ];
    rows.into_iter()
        .zip(301..)
        .map(|((kind, name, base_url, hint, models), number)| ProviderView {
            provider_id: ProviderId(id(number)),
            kind,
            name: name.to_owned(),
            base_url: base_url.map(str::to_owned),
            region: None,
            is_direct: false,
            secret_hint: hint.map(str::to_owned),
            created_at: ago(28_800),
            models,
        })
        .collect()
}

/// What stands where a new key is shown.
pub const SECRET: &str = "cl_live_5e81c07b2a94_8mVh2cJ0vY4nW7sXeR3tL6bDq9aGfK1uPz5Hy8QwE0rT3iO";

/// A person's own key for all models, without an end.
pub fn key(number: u128, name: &str, hint: &str, used: Option<i64>) -> KeyView {
    KeyView {
        key_id: KeyId(id(number)),
        name: name.to_owned(),
        runtime_id: None,
        hint: hint.to_owned(),
        models: None,
        created_at: ago(40_000),
        last_used_at: used.map(ago),
        expires_at: None,
        revoked_at: None,
        expired: false,
        limits: vec![],
        former: Vec::new(),
    }
}

pub fn keys() -> Vec<KeyView> {
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let former =
        |hint: &str, used: Option<i64>, ends: i64| FormerSecret { hint: hint.to_owned(), last_used_at: used.map(ago), ends_at: ago(-ends) };
    vec![
        key(400, "laptop", "cl_live_7d20c4419be3…", Some(3)),
        KeyView {
            former: vec![former("cl_live_09ab77e1d2c0…", Some(12), 1_100), former("cl_live_c41d5b9a0e76…", None, 300)],
            ..key(405, "nightly evaluation of the whole support archive", "cl_live_f81200ce64b7…", None)
        },
        KeyView {
            models: names(&["qwen-local", "gpt-mini", "claude-sonnet"]),
            expires_at: Some(ago(-72_000)),
            ..key(401, "notebook", "cl_live_a831b07c5512…", Some(1_500))
        },
        KeyView {
            expired: true,
            expires_at: Some(ago(4_000)),
            models: names(&[]),
            ..key(406, "workshop", "cl_live_3b7701d9c2aa…", Some(5_000))
        },
        KeyView { revoked_at: Some(ago(20_000)), ..key(402, "old laptop", "cl_live_aa09f3d81172…", None) },
        KeyView { runtime_id: Some(RuntimeId(id(100))), ..key(403, "research", "cl_rt_a41c00d7e9b2f5518837…", Some(0)) },
    ]
}

/// The lines of a break-down: name, share of calls and of cost, in percent.
fn shares(by: Breakdown, everyone: bool) -> &'static [(&'static str, i64, i64)] {
    match (by, everyone) {
        (Breakdown::Model, _) => &[("claude-sonnet", 41, 87), ("gpt-mini", 35, 13), ("qwen-local", 24, 0)],
        (Breakdown::Person, _) => &[
            ("Ada Lindqvist", 31, 38),
            ("Jonas Berg", 24, 22),
            ("Lena Fischer", 17, 15),
            ("Sana Khan", 11, 11),
            ("Mira Okafor", 9, 8),
            ("New Person", 5, 4),
            ("Per Holm", 3, 2),
        ],
        (Breakdown::Group, _) => {
            &[("Research", 62, 64), ("Support and everyone who helps out there in the busy weeks before a release", 23, 21)]
        }
        (Breakdown::Runtime, true) => &[
            ("research, Ada Lindqvist", 22, 27),
            ("notes, Lena Fischer", 17, 15),
            ("research, Jonas Berg", 14, 13),
            ("triage, Sana Khan", 9, 10),
            ("research-2, Ada Lindqvist", 8, 8),
            ("digest, Mira Okafor", 6, 5),
            ("scratch, Jonas Berg", 4, 3),
        ],
        (Breakdown::Runtime, false) => &[("research", 58, 63), ("research-2", 20, 16)],
        (Breakdown::Key, _) => &[("laptop", 16, 15), ("notebook", 6, 6)],
    }
}

fn share(of: Totals, calls: i64, cost: i64) -> Totals {
    Totals {
        calls: of.calls * calls / 100,
        refused: of.refused * calls / 100,
        input_tokens: of.input_tokens * calls / 100,
        output_tokens: of.output_tokens * calls / 100,
        cost: Micros(of.cost.0 * cost / 100),
    }
}

pub fn usage(days: u16, everyone: bool, by: Breakdown) -> UsageReport {
    let to = OffsetDateTime::now_utc().date();
    let from = to - Duration::days(i64::from(days.max(1)) - 1);
    let factor = if everyone { 19 } else { 1 };
    let on_day = |offset: i64| {
        let calls = (offset * 37 % 53 + if offset % 7 < 2 { 3 } else { 42 }) * factor;
        Totals {
            calls,
            refused: 3 * i64::from(offset % 9 == 0),
            input_tokens: calls * 4_300,
            output_tokens: calls * 310,
            cost: Micros(calls * 9_700),
        }
    };
    let totals = (0..i64::from(days)).map(on_day).fold(Totals::default(), |sum, day| sum + day);
    let mut report = UsageReport {
        from,
        to,
        totals,
        by,
        by_day: Vec::new(),
        by_model: Vec::new(),
        by_person: Vec::new(),
        by_group: Vec::new(),
        by_runtime: Vec::new(),
        by_key: Vec::new(),
    };
    let whose = if everyone { Whose::Everyone } else { Whose::Mine };
    for breakdown in whose.breakdowns() {
        *report.lines_mut(*breakdown) = shares(*breakdown, everyone)
            .iter()
            .map(|(name, calls, cost)| UsageLine {
                name: (*name).to_owned(),
                person_id: people().into_iter().find(|person| person.name == *name).map(|person| person.person_id),
                totals: share(totals, *calls, *cost),
                pieces: None,
            })
            .collect();
    }
    for offset in 0..i64::from(days) {
        let day = from + Duration::days(offset);
        let parts = shares(by, everyone).iter().enumerate().map(|(place, (_, calls, cost))| (place, share(on_day(offset), *calls, *cost)));
        let (leaders, others): (Vec<_>, Vec<_>) = parts.partition(|(place, _)| *place < UsageReport::LEADERS);
        report.by_day.extend(leaders.into_iter().map(|(place, totals)| UsageDay { day, line: u8::try_from(place).ok(), totals }));
        if !others.is_empty() {
            let totals = others.into_iter().fold(Totals::default(), |sum, (_, part)| sum + part);
            report.by_day.push(UsageDay { day, line: None, totals });
        }
    }
    report
}

pub fn audit() -> Vec<AuditEntry> {
    let rows = [
        (12, "mira@acme.example", "budget.set", "Sana Khan", "$20.00 → $40.00 a month"),
        (21, "ClawLoops", "runtime.failed", "research-2", "out of memory"),
        (40, "ada@acme.example", "runtime.started", "research", ""),
        (900, "mira@acme.example", "provider.added", "Anthropic", "key ending in 3fQ"),
        (1_500, "mira@acme.example", "person.disabled", "Per Holm", ""),
        (2_900, "ada@acme.example", "key.made", "laptop", ""),
        (6_000, "ada@acme.example", "session.opened", "ada@acme.example", "Firefox on Linux"),
    ];
    rows.into_iter()
        .zip(500..)
        .map(|((minutes, actor, action, subject, detail), number)| AuditEntry {
            audit_entry_id: AuditEntryId(id(number)),
            at: ago(minutes),
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
        })
        .collect()
}

pub fn overview() -> Overview {
    let part =
        |name: &str, detail: &str, problem: Option<Problem>| PartHealth { name: name.to_owned(), detail: detail.to_owned(), problem };
    let slow = Problem::new(Code::Unavailable, "LiteLLM does not answer at 127.0.0.1:4100.")
        .remedy("It is being started again. Look at the log if it stays.");
    Overview {
        people: 5,
        invitations: 1,
        running: 2,
        failed: 1,
        runtimes: 6,
        cost_this_month: Micros(742_180_000),
        calls_today: 1_984,
        memory_promised_bytes: 8 * GIB,
        memory_host_bytes: 64 * GIB,
        parts: vec![
            part("Docker Engine", "29.1, 6 containers", None),
            part("PostgreSQL", "17.5, private", None),
            part("LiteLLM", "1.80", Some(slow)),
            part("Runtime image", "openclaw:2026.9.6", None),
        ],
        has_provider: true,
    }
}

pub fn requests(caller: &Caller) -> Vec<RequestView> {
    let open = RequestView {
        request_id: RequestId(id(620)),
        person_id: caller.person_id,
        person: caller.name.clone(),
        subject: Subject::Everyone,
        name: String::new(),
        window: Window::Month,
        unit: Unit::Money,
        present: 20_000_000,
        amount: 40_000_000,
        reason: "The migration of the ticket archive takes longer than planned.".to_owned(),
        asked_at: ago(30),
        answer: None,
        word: String::new(),
        answered_by: None,
        answered_at: None,
    };
    let answered = RequestView {
        request_id: RequestId(id(621)),
        answer: Some(MoreAnswer::Declined),
        word: "Let us look at it together on Monday.".to_owned(),
        answered_by: Some("Mira Okafor".to_owned()),
        answered_at: Some(ago(2_000)),
        ..open.clone()
    };
    vec![open, answered]
}
