//! Who may limit a key: its owner with limits of their own, an administrator with any; all that there are hold.

use crate::support::{World, call, wish};
use contract::{BudgetChange, Caller, Code, KeyEnd, KeyId, KeyLimit, KeyWish, Limit, NewRequest, Role, SetBy, Subject, Unit, Window};
use server::{
    data::Pool,
    model::{keys, more, usage},
};

const CALLS: (Window, Unit) = (Window::Day, Unit::Requests);

fn limit(amount: i64) -> Limit {
    Limit { window: CALLS.0, unit: CALLS.1, amount }
}

fn change(key_id: KeyId, amount: Option<i64>) -> BudgetChange {
    BudgetChange { subject: Subject::Key(key_id), window: CALLS.0, unit: CALLS.1, amount }
}

/// The limits of a person's only key: how much, and whose.
async fn limits(world: &World, owner: &Caller) -> Vec<(i64, SetBy)> {
    let keys = keys::of(&world.service, owner).await.unwrap();
    let mut limits: Vec<_> = keys[0].limits.iter().map(|KeyLimit { limit, set_by }| (limit.amount, *set_by)).collect();
    limits.sort_unstable_by_key(|(amount, _)| *amount);
    limits
}

async fn set(world: &World, caller: &Caller, key: KeyId, amount: i64) -> Result<(), Code> {
    keys::set_limit(&world.service, caller, key, limit(amount)).await.map_err(|error| error.into_problem().code)
}

async fn remove(world: &World, caller: &Caller, key: KeyId) -> Result<(), Code> {
    keys::remove_limit(&world.service, caller, key, CALLS.0, CALLS.1).await.map_err(|error| error.into_problem().code)
}

async fn audit(world: &World) -> Vec<(String, String, String)> {
    sqlx::query_as("select actor, action, detail from audit_entry where action like 'limit.%' order by audit_entry_id")
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn an_owner_adds_changes_and_removes_limits_of_their_own(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, id) = world.with_key("ada").await;
    let (eve, ..) = world.with_key("eve").await;
    assert_eq!(set(&world, &ada, id, 1).await, Ok(()));
    assert_eq!(limits(&world, &ada).await, [(1, SetBy::Owner)]);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 429);
    assert_eq!(set(&world, &ada, id, 2).await, Ok(()), "it holds from the next call on");
    assert_eq!(limits(&world, &ada).await, [(2, SetBy::Owner)]);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 429);
    assert_eq!(remove(&world, &ada, id).await, Ok(()));
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    assert_eq!(remove(&world, &ada, id).await, Err(Code::NotFound), "there is none any more");

    // Nobody else's, whatever their role: an administrator has a page of their own for that.
    let root = world.person("root", Role::Administrator).await;
    for other in [&eve, &root] {
        assert_eq!(set(&world, other, id, 9).await, Err(Code::NotFound));
        assert_eq!(remove(&world, other, id).await, Err(Code::NotFound));
    }
    // A runtime's key is not its owner's to limit.
    world.runtime(&ada).await;
    let runtimes = keys::of(&world.service, &ada).await.unwrap().into_iter().find(|key| key.runtime_id.is_some()).unwrap();
    assert_eq!(set(&world, &ada, runtimes.key_id, 9).await, Err(Code::NotFound));
    assert_eq!(set(&world, &ada, id, -1).await, Err(Code::Invalid));
    sqlx::query("update person set status = 'disabled' where person_id = $1").bind(ada.person_id.0).execute(&world.pool).await.unwrap();
    assert_eq!(set(&world, &ada, id, 9).await, Err(Code::PersonDisabled));
    sqlx::query("update person set status = 'active' where person_id = $1").bind(ada.person_id.0).execute(&world.pool).await.unwrap();
    keys::revoke(&world.service, &ada, id).await.unwrap();
    assert_eq!(set(&world, &ada, id, 9).await, Err(Code::Conflict));

    let line = |action: &str, detail: &str| ("ada@example.com".to_owned(), action.to_owned(), detail.to_owned());
    let expected = [line("limit.set", "1 call a day"), line("limit.set", "2 calls a day"), line("limit.removed", "calls a day")];
    assert_eq!(audit(&world).await, expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_administrators_limit_is_not_its_owners_to_lift_and_the_tighter_one_wins(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, id) = world.with_key("ada").await;
    let root = world.person("root", Role::Administrator).await;
    usage::set_budget(&world.service, &root, change(id, Some(2))).await.unwrap();
    assert_eq!(remove(&world, &ada, id).await, Err(Code::AccessDenied));
    for denied in [
        usage::set_budget(&world.service, &ada, change(id, Some(9))).await,
        usage::set_budget(&world.service, &ada, change(id, None)).await,
        usage::replace_owners(&world.service, &ada, change(id, Some(9))).await,
        usage::replace_owners(&world.service, &ada, change(id, None)).await,
    ] {
        assert_eq!(denied.unwrap_err().into_problem().code, Code::AccessDenied);
    }
    assert_eq!(limits(&world, &ada).await, [(2, SetBy::Administrator)]);

    // One's own of the same kind stands beside it: a larger one gives nothing.
    assert_eq!(set(&world, &ada, id, 50).await, Ok(()));
    assert_eq!(limits(&world, &ada).await, [(2, SetBy::Administrator), (50, SetBy::Owner)]);
    for status in [200, 200, 429] {
        assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), status);
    }
    // A smaller one takes.
    usage::set_budget(&world.service, &root, change(id, Some(100))).await.unwrap();
    assert_eq!(set(&world, &ada, id, 3).await, Ok(()));
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 429);
    // Both are told, each with whose it is; only of an administrator's more is asked for.
    let both = usage::budgets(&world.service, &ada, None).await.unwrap();
    assert_eq!(
        both.iter().map(|one| (one.amount, one.settled, one.set_by)).collect::<Vec<_>>(),
        [(100, 3, SetBy::Administrator), (3, 3, SetBy::Owner)]
    );
    let ask = async |set_by| {
        let budget_id = both.iter().find(|one| one.set_by == set_by).unwrap().budget_id;
        let wish = NewRequest { budget_id, amount: 200, reason: "A demo".to_owned() };
        more::ask(&world.service, &ada, wish).await.map_err(|error| error.into_problem().code)
    };
    assert_eq!((ask(SetBy::Owner).await, ask(SetBy::Administrator).await), (Err(Code::Conflict), Ok(())));

    // Removed, the other one stays.
    assert_eq!(remove(&world, &ada, id).await, Ok(()));
    assert_eq!(limits(&world, &ada).await, [(100, SetBy::Administrator)]);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_administrator_changes_all_and_what_they_changed_is_theirs(pool: Pool) {
    let world = World::new(pool).await;
    let ada = world.person("ada", Role::Person).await;
    let root = world.person("root", Role::Administrator).await;
    let made = keys::make(&world.service, &ada, KeyWish { limits: vec![limit(5)], ..wish("laptop", KeyEnd::Never) }).await.unwrap();
    let id = made.key.key_id;
    assert_eq!(made.key.limits, [KeyLimit { limit: limit(5), set_by: SetBy::Owner }], "one that it was made with is its owner's");
    // Another one beside it.
    usage::set_budget(&world.service, &root, change(id, Some(7))).await.unwrap();
    assert_eq!(limits(&world, &ada).await, [(5, SetBy::Owner), (7, SetBy::Administrator)]);
    // And in its place.
    usage::replace_owners(&world.service, &root, change(id, Some(6))).await.unwrap();
    assert_eq!(limits(&world, &ada).await, [(6, SetBy::Administrator)]);
    assert_eq!(remove(&world, &ada, id).await, Err(Code::AccessDenied));
    assert_eq!(set(&world, &ada, id, 4).await, Ok(()));
    usage::replace_owners(&world.service, &root, change(id, None)).await.unwrap();
    assert_eq!(limits(&world, &ada).await, [(6, SetBy::Administrator)], "without an amount it is removed, and the other one stays");
    usage::set_budget(&world.service, &root, change(id, None)).await.unwrap();
    assert_eq!(limits(&world, &ada).await, []);
    let who: Vec<String> = audit(&world).await.into_iter().map(|line| line.0).collect();
    assert_eq!(who.iter().filter(|who| who.as_str() == "root@example.com").count(), 5);
    assert_eq!(who.iter().filter(|who| who.as_str() == "ada@example.com").count(), 2);
    // An administrator's own key is theirs as anybody's is.
    let own = keys::make(&world.service, &root, wish("laptop", KeyEnd::Never)).await.unwrap().key.key_id;
    assert_eq!(set(&world, &root, own, 4).await, Ok(()));
    assert_eq!(limits(&world, &root).await, [(4, SetBy::Owner)]);
}

/// Nobody is sent to an administrator for a limit of their own: they set it, and only they change it.
#[sqlx::test(migrations = "../migrations")]
async fn a_refusal_by_ones_own_limit_says_where_to_change_it(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, id) = world.with_key("ada").await;
    let root = world.person("root", Role::Administrator).await;
    let refused = async || {
        let refused = world.chat(&key, &call("answers", 1)).await;
        assert_eq!(refused.status(), 429);
        let said: serde_json::Value = refused.json().await.unwrap();
        said["error"]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(set(&world, &ada, id, 0).await, Ok(()));
    assert_eq!(
        refused().await,
        "The limit of 0 calls a day that you set for the key laptop is used up, or what is left is too little for this message. It begins anew \
         on Monday, 23 November 2026 at 00:00 (UTC). To go on before that, change it on the page Models & keys."
    );
    let at_once = Limit { window: Window::Total, unit: Unit::Concurrency, amount: 0 };
    keys::set_limit(&world.service, &ada, id, at_once).await.unwrap();
    assert_eq!(remove(&world, &ada, id).await, Ok(()));
    assert!(refused().await.ends_with("If that is too few, change it on the page Models & keys."));
    keys::remove_limit(&world.service, &ada, id, at_once.window, at_once.unit).await.unwrap();
    let forever = Limit { window: Window::Total, unit: Unit::Tokens, amount: 1 };
    keys::set_limit(&world.service, &ada, id, forever).await.unwrap();
    assert!(refused().await.ends_with("It does not return by itself: change it on the page Models & keys."));
    keys::remove_limit(&world.service, &ada, id, forever.window, forever.unit).await.unwrap();

    // An administrator's for the same key is theirs to raise.
    usage::set_budget(&world.service, &root, change(id, Some(0))).await.unwrap();
    let said = refused().await;
    assert!(said.starts_with("The limit of 0 calls a day of the key laptop"), "{said}");
    assert!(said.contains("ask your administrator (root@example.com) to raise it, or ask for more on the page Usage"), "{said}");
}

/// What was there before it was noted who set a limit: of the key's owner only where nothing speaks against it.
#[sqlx::test(migrations = "../migrations")]
async fn limits_that_keys_were_made_with_become_their_owners(pool: Pool) {
    const MIGRATION: &str = include_str!("../../../migrations/119_limit_owner.sql");
    let world = World::new(pool).await;
    let root = world.person("root", Role::Administrator).await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cleo", "dan"] {
        let person = world.person(name, Role::Person).await;
        let limits = if name == "cleo" { vec![] } else { vec![limit(5)] };
        let made = keys::make(&world.service, &person, KeyWish { limits, ..wish("laptop", KeyEnd::Never) }).await.unwrap();
        people.push((person, made.key.key_id));
    }
    world.clock.advance(time::Duration::HOUR);
    sqlx::query("update budget set set_by = 'administrator'").execute(&world.pool).await.unwrap();
    // Bob's was changed since, Cleo's was set later, and beside Dan's an administrator set another one.
    usage::set_budget(&world.service, &root, change(people[1].1, Some(6))).await.unwrap();
    usage::set_budget(&world.service, &root, change(people[2].1, Some(7))).await.unwrap();
    let other = BudgetChange { window: Window::Month, ..change(people[3].1, Some(8)) };
    usage::set_budget(&world.service, &root, other).await.unwrap();

    let back_fill = MIGRATION.find("update budget b").map(|at| MIGRATION.split_at(at).1).unwrap();
    sqlx::raw_sql(back_fill).execute(&world.pool).await.unwrap();
    assert_eq!(limits(&world, &people[0].0).await, [(5, SetBy::Owner)]);
    assert_eq!(limits(&world, &people[1].0).await, [(6, SetBy::Administrator)]);
    assert_eq!(limits(&world, &people[2].0).await, [(7, SetBy::Administrator)]);
    assert_eq!(limits(&world, &people[3].0).await, [(5, SetBy::Administrator), (8, SetBy::Administrator)]);
}
