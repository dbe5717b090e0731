//! An upgrade of a database with something in it: migrations are tried on empty ones by every other test.

use server::data::{MIGRATIONS, Pool};
use sqlx::migrate::Migrator;

/// The migrations that came after the installation of `old.sql`, in the order of their numbers and not of their making.
const LATER: std::ops::RangeInclusive<i64> = 116..=119;
const NEWEST: i64 = 125;

#[sqlx::test(migrations = false)]
async fn what_was_there_is_there_after_an_upgrade_and_has_its_rights(pool: Pool) {
    // What new databases are made from may have every migration already.
    sqlx::raw_sql("drop schema public cascade; create schema public").execute(&pool).await.unwrap();
    let old = MIGRATIONS.iter().filter(|one| one.version <= NEWEST && !LATER.contains(&one.version)).cloned().collect();
    Migrator::with_migrations(old).run(&pool).await.unwrap();
    sqlx::raw_sql(include_str!("old.sql")).execute(&pool).await.unwrap();

    server::data::migrate(&pool).await.unwrap();

    let providers: Vec<(String, bool, bool)> =
        sqlx::query_as("select name, allows_private, is_direct from provider where name <> 'Demo' order by name")
            .fetch_all(&pool)
            .await
            .unwrap();
    let providers: Vec<_> = providers.iter().map(|(name, private, direct)| (name.as_str(), *private, *direct)).collect();
    assert!(providers.contains(&("In the office", true, false)) && providers.contains(&("OpenAI", false, false)), "{providers:?}");
    let owners: Vec<(String, i64)> = sqlx::query_as("select set_by, amount from budget order by budget_id").fetch_all(&pool).await.unwrap();
    assert_eq!(owners, [("owner".to_owned(), 5_000_000), ("administrator".to_owned(), 5_000_000)]);
    let used: (i64, i64) = sqlx::query_as("select sum(calls)::bigint, sum(cost)::bigint from usage_entry").fetch_one(&pool).await.unwrap();
    assert_eq!(used, (50, 6_000));
    let runtime: (String, i64) = sqlx::query_as("select phase, memory_bytes from runtime").fetch_one(&pool).await.unwrap();
    assert_eq!(runtime, ("ready".to_owned(), 2 << 30));

    // Begun once more, there is nothing to do.
    server::data::migrate(&pool).await.unwrap();
}
