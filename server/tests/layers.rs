//! The layers hold: who may use whom, where the world is touched, how large a file may be. Read from the sources, so that an arrow that points up
//! fails here and not in a review.
#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What everyone may use.
const COMMON: &[&str] = &["error", "clock", "config", "Error", "Result"];

/// Who may use whom, beside [`COMMON`] and oneself. A name with `::` allows just that part.
const LAYERS: &[(&str, &[&str])] = &[
    // The composition root knows everything.
    ("boot", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
    ("ingress", &["backend", "platform", "orchestrator", "model", "data", "certificate"]),
    ("backend", &["platform", "orchestrator", "model", "data", "doctor", "runtime"]),
    ("doctor", &["manager", "platform", "model", "data", "certificate"]),
    ("orchestrator", &["platform", "manager", "runtime", "data", "model::catalog"]),
    ("model", &["platform", "runtime", "data"]),
    ("platform", &["data"]),
    ("manager", &["runtime"]),
    ("runtime", &[]),
    ("data", &[]),
    ("certificate", &[]),
    ("config", &[]),
    ("clock", &[]),
    ("error", &[]),
];

/// Where the world may be touched: a word, the paths that may say it, and the reason.
const WORLD: &[(&str, &[&str], &str)] = &[
    ("bollard", &["manager/docker"], "Docker stands behind the trait Engine"),
    ("sqlx", &["data/"], "the only SQL is in data"),
    ("axum", &["ingress/", "model/", "boot.rs", "boot/"], "HTTP ends at the entry and at the model door"),
    ("argon2", &["platform/passwords.rs"], "hashing takes its turn behind one semaphore"),
    ("std::env", &["config.rs"], "config is the one reader of the environment"),
];

const LONGEST: usize = 600;

/// What is wrong with one source of the server, named by its path under `src`.
fn judge(path: &str, source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let code = plain(product(source));
    let module: Vec<&str> = path.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").collect();
    let layer = module[0];
    match LAYERS.iter().find(|(name, _)| *name == layer) {
        None => wrong.push(format!("{path}: {layer} is in no layer; put it into the table and say whom it may use")),
        Some((_, allowed)) => {
            for used in uses(&code, &module) {
                let may = |name: &&str| *name == "*" || used == *name || used.starts_with(&format!("{name}::"));
                let root = used.split("::").next().unwrap_or_default();
                if root != layer && !COMMON.contains(&root) && !allowed.iter().any(may) {
                    wrong.push(format!("{path}: {layer} may not use {used}"));
                }
            }
        }
    }
    for (word, places, reason) in WORLD {
        if says(&code, word) && !places.iter().any(|place| path.starts_with(place)) {
            wrong.push(format!("{path}: {word} has no place here: {reason}"));
        }
    }
    for line in product(source).lines().filter(|line| line.contains("tracing::") && line.contains("path()") && !line.contains("logged(")) {
        wrong.push(format!("{path}: {} tells a whole address; one-use links are in some, so it is told by `logged`", line.trim()));
    }
    wrong.extend(judge_shape(path, source));
    wrong
}

/// What is wrong with the shape of a source, of whichever crate.
fn judge_shape(path: &str, source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = source.lines().count();
    if lines > LONGEST {
        wrong.push(format!("{path}: {lines} lines; more than {LONGEST} is more than one thing"));
    }
    if path.split('/').any(|part| matches!(part.trim_end_matches(".rs"), "utils" | "util" | "helpers" | "helper" | "misc" | "common")) {
        wrong.push(format!("{path}: a module is named for what it is, not for being useful"));
    }
    wrong
}

/// The source without its tests, which may use whatever they need.
fn product(source: &str) -> &str {
    source.split("\n#[cfg(test)]").next().unwrap_or(source)
}

/// The source without comments and the insides of strings, so that only code is read.
fn plain(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut out, mut i) = (String::new(), 0);
    while i < chars.len() {
        match (at(i), at(i + 1)) {
            ('/', '/') => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            ('/', '*') => {
                while i < chars.len() && !(at(i) == '*' && at(i + 1) == '/') {
                    i += 1;
                }
                i += 2;
            }
            ('r', '"' | '#') if !out.ends_with(|c: char| c.is_alphanumeric() || c == '_') => {
                let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
                if at(i + 1 + hashes) != '"' {
                    out.push('r');
                    i += 1;
                    continue;
                }
                i += hashes + 2;
                while i < chars.len() && !(at(i) == '"' && (1..=hashes).all(|n| at(i + n) == '#')) {
                    i += 1;
                }
                i += hashes + 1;
            }
            ('"', _) => {
                i += 1;
                while i < chars.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            // A character, and not a lifetime.
            ('\'', '\\') => {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (c, _) => {
                out.push(c);
                i += 1;
            }
        }
    }
    out
}

/// Everything of the crate that the code names by `crate::` or `super::`, from the crate's root.
fn uses(code: &str, module: &[&str]) -> Vec<String> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let begins = i == 0 || tokens[i - 1] != "::";
        if begins && (tokens[i] == "crate" || tokens[i] == "super") && tokens.get(i + 1).is_some_and(|token| token == "::") {
            let mut base: Vec<String> = Vec::new();
            let mut j = i;
            if tokens[j] == "super" {
                base = module.iter().map(ToString::to_string).collect();
                while tokens[j] == "super" && tokens.get(j + 1).is_some_and(|token| token == "::") {
                    base.pop();
                    j += 2;
                }
            } else {
                j += 2;
            }
            i = tree(&tokens, j, &base, &mut found);
        } else {
            i += 1;
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

/// Reads one path, or the group at its end, and returns where it ends.
fn tree(tokens: &[String], mut i: usize, base: &[String], found: &mut Vec<String>) -> usize {
    let mut path = base.to_vec();
    loop {
        match tokens.get(i).map(String::as_str) {
            Some("{") => {
                i += 1;
                while i < tokens.len() && tokens[i] != "}" {
                    i = if tokens[i] == "," { i + 1 } else { tree(tokens, i, &path, found).max(i + 1) };
                }
                return i + 1;
            }
            Some("self") => i += 1,
            Some(word) if word == "*" || word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(word.to_owned());
                i += 1;
            }
            _ => {}
        }
        if tokens.get(i).is_some_and(|token| token == "::") {
            i += 1;
            continue;
        }
        found.push(path.join("::"));
        // `a as b` within a group
        if tokens.get(i).is_some_and(|token| token == "as") {
            i += 2;
        }
        return i;
    }
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            let mut word = c.to_string();
            while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                word.push(next);
            }
            tokens.push(word);
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            tokens.push("::".to_owned());
        } else if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    tokens
}

/// Whether the code names a crate or a path, as a whole word at its beginning. `#[sqlx::test]` makes a database for a test and is no SQL.
fn says(code: &str, word: &str) -> bool {
    let tokens = tokens(code);
    let wanted = self::tokens(word);
    tokens.windows(wanted.len() + 1).enumerate().any(|(i, window)| {
        let begins = i == 0 || tokens[i - 1] != "::";
        let leads_on = wanted.len() > 1 || window[wanted.len()] == "::";
        begins && leads_on && window[..wanted.len()] == wanted[..]
    })
}

fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn no_arrow_points_up_and_the_world_is_touched_in_its_places_only() {
    let sources = sources(&workspace().join("server/src"));
    assert!(sources.len() > 50, "the sources were found");
    let wrong: Vec<String> = sources.iter().flat_map(|(path, source)| judge(path, source)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_pages_hold_nothing_of_the_server_and_no_file_is_a_heap() {
    for crate_name in ["contract", "app", "frontend"] {
        let manifest = fs::read_to_string(workspace().join(crate_name).join("Cargo.toml")).unwrap();
        for dependency in ["bollard", "reqwest", "argon2", "tokio", "hyper", "server"] {
            assert!(!is_in_the_page(&manifest, dependency), "{crate_name} must not depend on {dependency}");
        }
        // The ids of the contract speak to PostgreSQL for the server, behind a feature that only it asks for.
        let may_sql = crate_name == "contract" && manifest.contains("sqlx = { workspace = true, optional = true }");
        assert!(may_sql || !manifest.contains("sqlx"), "{crate_name} must not depend on sqlx");
        let wrong: Vec<String> =
            sources(&workspace().join(crate_name).join("src")).iter().flat_map(|(path, source)| judge_shape(path, source)).collect();
        assert!(wrong.is_empty(), "{crate_name}:\n{}", wrong.join("\n"));
    }
}

/// Whether a manifest names this dependency anywhere but for its own tests, whose means of drawing a page are not in the page.
fn is_in_the_page(manifest: &str, dependency: &str) -> bool {
    let mut section = "";
    manifest.lines().any(|line| {
        if line.starts_with('[') {
            section = line.trim();
        }
        section != "[dev-dependencies]" && line.split(['.', ' ', '=']).next() == Some(dependency)
    })
}

#[test]
fn this_test_can_fail() {
    let manifest = |tail: &str| format!("[dependencies]\nserde.workspace = true\n\n[dev-dependencies]\ntokio.workspace = true\n{tail}");
    assert!(!is_in_the_page(&manifest(""), "tokio"));
    assert!(is_in_the_page(&manifest("[target.'cfg(unix)'.dependencies]\ntokio = \"1\"\n"), "tokio"));
    assert!(is_in_the_page("[dependencies]\ntokio = { version = \"1\" }\n", "tokio"));
    let faults: &[(&str, &str, &str)] = &[
        ("platform/people.rs", "use crate::orchestrator::commands;", "platform may not use orchestrator::commands"),
        ("platform/people.rs", "use crate::{\n    data::{self, Pool},\n    model::{catalog, door},\n};", "may not use model::catalog"),
        ("data/person.rs", "fn f() { crate::platform::audit::record(); }", "data may not use platform::audit::record"),
        ("data/mod.rs", "use super::ingress;", "data may not use ingress"),
        ("model/door/call.rs", "use super::super::super::manager::Engine;", "model may not use manager::Engine"),
        ("orchestrator/driver.rs", "use crate::model::{catalog, door::Side};", "may not use model::door::Side"),
        ("runtime/spec.rs", "use crate::manager as m;", "runtime may not use manager"),
        ("ingress/gateway.rs", "use crate::{config::Config, manager::{Engine as E, names}};", "may not use manager::Engine"),
        ("newcomer.rs", "", "is in no layer"),
        ("orchestrator/driver.rs", "let d = bollard::Docker::connect();", "bollard has no place"),
        ("platform/people.rs", "use sqlx::PgPool;", "sqlx has no place"),
        ("backend/mod.rs", "use axum::Router;", "axum has no place"),
        ("boot.rs", "let x = std::env::var(\"X\");", "std::env has no place"),
        ("model/utils.rs", "", "named for what it is"),
        ("ingress/pages.rs", "tracing::warn!(path = head.uri.path(), \"late\");", "tells a whole address"),
    ];
    for (path, source, expected) in faults {
        let wrong = judge(path, source);
        assert!(wrong.iter().any(|said| said.contains(expected)), "{path}: {source}\n{wrong:?}");
    }
    assert!(judge("model/door.rs", &"\n".repeat(601))[0].contains("601 lines"));

    let fine: &[(&str, &str)] = &[
        ("platform/people.rs", "use crate::{Error, Result, clock::{Clock, new_id}, data::{self, Pool}};"),
        ("platform/audit.rs", "use super::sessions;\nuse crate::platform::people;"),
        ("orchestrator/driver.rs", "use crate::model::catalog;\nuse crate::manager::Engine;"),
        ("data/person.rs", "sqlx::query!(\"select crate::model from x\"); // crate::ingress\nlet q = r#\"crate::model\"#; let c = '\"'; "),
        ("platform/people.rs", "fn f<'a>(x: &'a str) {}\n#[cfg(test)]\nmod tests { use crate::model; use sqlx::PgPool; }"),
        ("boot.rs", "use crate::{ingress, model, manager::docker};\nuse axum::Router;"),
        ("platform/people.rs", "let sqlx_like = data::sqlx_thing();"),
        ("ingress/pages.rs", "tracing::warn!(path = logged(head.uri.path()), \"late\");"),
    ];
    for (path, source) in fine {
        assert_eq!(judge(path, source), Vec::<String>::new(), "{source}");
    }
}
