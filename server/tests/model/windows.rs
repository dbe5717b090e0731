//! The windows of limits, under time zones that change.

use crate::support::World;
use contract::{Caller, KeyId, Unit, Window};
use server::{
    clock::Clock as _,
    data::{
        self, Pool,
        budget::{Outcome, Reserved, Used, Wanted},
    },
    model::budget,
};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

const LIMIT: i64 = 100;
/// West to east, as far as it goes; none of them changes its clocks.
const ZONES: [&str; 8] =
    ["Etc/GMT+12", "Pacific/Honolulu", "America/Phoenix", "UTC", "Asia/Kolkata", "Asia/Tokyo", "Australia/Brisbane", "Pacific/Kiritimati"];

/// A person whose calls go straight to the books, at any time.
struct Spender<'a> {
    world: &'a World,
    person: Caller,
    key_id: KeyId,
}

impl Spender<'_> {
    async fn move_to(&self, zone: &str) {
        sqlx::query("update person set time_zone = $2 where person_id = $1")
            .bind(self.person.person_id.0)
            .bind(zone)
            .execute(&self.world.pool)
            .await
            .unwrap();
    }

    fn wanted(&self, tokens: i64) -> Wanted {
        let now = self.world.clock.now();
        Wanted {
            id: Uuid::now_v7(),
            person_id: self.person.person_id,
            runtime_id: None,
            key_id: self.key_id,
            model: "priced".to_owned(),
            route: "Demo".to_owned(),
            at: now,
            lease_until: now + budget::LEASE,
            input_tokens: tokens,
            output_tokens: 0,
            least_output_tokens: 0,
            answers: 1,
            input_price: 1_000_000,
            cached_input_price: 1_000_000,
            output_price: 1_000_000,
            tells: false,
        }
    }

    /// Holds so many tokens. When it is refused: until when.
    async fn hold(&self, tokens: i64) -> Result<Uuid, Option<OffsetDateTime>> {
        let wanted = self.wanted(tokens);
        match data::budget::reserve(&mut self.world.pool.acquire().await.unwrap(), &wanted, false).await.unwrap() {
            Reserved::Granted { .. } => Ok(wanted.id),
            Reserved::Refused(spent) => Err(spent.until),
        }
    }

    async fn settle(&self, id: Uuid, tokens: i64, outcome: Outcome) {
        let used = Used {
            input_tokens: tokens,
            cached_input_tokens: 0,
            output_tokens: 0,
            latency_ms: 1,
            first_token_ms: None,
            outcome,
            estimated: false,
        };
        assert!(data::budget::settle(&mut self.world.pool.acquire().await.unwrap(), id, &used).await.unwrap());
    }

    async fn spend(&self, tokens: i64) -> Result<(), Option<OffsetDateTime>> {
        let id = self.hold(tokens).await?;
        self.settle(id, tokens, Outcome::Done).await;
        Ok(())
    }

    fn advance_to(&self, at: OffsetDateTime) {
        self.world.clock.advance(at - self.world.clock.now());
    }
}

async fn spender<'a>(world: &'a World, window: Window) -> Spender<'a> {
    let (person, _, key_id) = world.with_key("ada").await;
    world.limit(&person, window, Unit::Tokens, Some(LIMIT)).await;
    Spender { world, person, key_id }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_day_goes_on_in_the_time_zone_it_began_with_and_the_next_is_a_whole_one(pool: Pool) {
    let world = World::new(pool).await;
    let ada = spender(&world, Window::Day).await;
    // 12:00 UTC; in Kiritimati a new day began two hours ago.
    ada.spend(LIMIT - 10).await.unwrap();
    let held = ada.hold(10).await.unwrap();
    ada.move_to("Pacific/Kiritimati").await;
    let midnight = datetime!(2026-11-23 00:00 UTC);
    let line = world.budgets(&ada.person).await.remove(0);
    assert_eq!((line.settled, line.reserved, line.resets_at), (LIMIT - 10, 10, Some(midnight)));
    assert_eq!(ada.spend(1).await, Err(Some(midnight)), "what is told is when it begins anew");
    ada.settle(held, 10, Outcome::Done).await;
    assert_eq!(world.budgets(&ada.person).await[0].settled, LIMIT);

    // There it does, and lasts to the first midnight of Kiritimati that is a day away: 10:00 UTC of the day after.
    ada.advance_to(midnight);
    assert_eq!(world.budgets(&ada.person).await[0].settled, 0);
    ada.spend(LIMIT).await.unwrap();
    ada.advance_to(datetime!(2026-11-23 23:59 UTC));
    let end = datetime!(2026-11-24 10:00 UTC);
    assert_eq!(ada.spend(1).await, Err(Some(end)));
    // From then on a day is a day there.
    ada.advance_to(end);
    ada.spend(LIMIT).await.unwrap();
    assert_eq!(ada.spend(1).await, Err(Some(end + Duration::DAY)));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_month_goes_on_as_well_and_the_next_one_is_no_longer_than_that(pool: Pool) {
    let world = World::new(pool).await;
    let ada = spender(&world, Window::Month).await;
    ada.move_to("Etc/GMT+12").await;
    ada.spend(LIMIT).await.unwrap();
    ada.move_to("Pacific/Kiritimati").await;
    let end = datetime!(2026-12-01 12:00 UTC);
    ada.advance_to(end - Duration::SECOND);
    assert_eq!(ada.spend(1).await, Err(Some(end)));
    ada.advance_to(end);
    ada.spend(LIMIT).await.unwrap();
    assert_eq!(ada.spend(1).await, Err(Some(datetime!(2026-12-31 10:00 UTC))));
    // February, the shortest, 26 hours shorter still.
    ada.move_to("Etc/GMT+12").await;
    ada.advance_to(datetime!(2027-01-15 0:00 UTC));
    ada.spend(LIMIT).await.unwrap();
    ada.move_to("Pacific/Kiritimati").await;
    ada.advance_to(datetime!(2027-02-10 0:00 UTC));
    ada.spend(LIMIT).await.unwrap();
    assert_eq!(ada.spend(1).await, Err(Some(datetime!(2027-02-28 10:00 UTC))));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lost_call_is_corrected_in_the_window_it_was_counted_in(pool: Pool) {
    let world = World::new(pool).await;
    let ada = spender(&world, Window::Day).await;
    let held = ada.hold(80).await.unwrap();
    ada.settle(held, 80, Outcome::Lost).await;
    ada.move_to("Pacific/Kiritimati").await;
    assert_eq!(world.budgets(&ada.person).await[0].settled, 80);
    ada.settle(held, 30, Outcome::Done).await;
    assert_eq!(world.budgets(&ada.person).await[0].settled, 30);
    // Corrected when its window is over, it leaves the next one alone.
    let held = ada.hold(70).await.unwrap();
    ada.settle(held, 70, Outcome::Lost).await;
    ada.advance_to(datetime!(2026-11-23 00:00 UTC));
    ada.spend(20).await.unwrap();
    ada.settle(held, 10, Outcome::Done).await;
    assert_eq!(world.budgets(&ada.person).await[0].settled, 20);
}

#[sqlx::test(migrations = "../migrations")]
async fn no_changes_of_time_zone_give_more_than_a_limit_a_day(pool: Pool) {
    let world = World::new(pool).await;
    let ada = spender(&world, Window::Day).await;
    // The same every time: xorshift.
    let mut state = 88_172_645_463_325_252_u64;
    let mut draw = |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % most
    };
    let mut granted: Vec<(OffsetDateTime, i64)> = Vec::new();
    for _ in 0..400 {
        ada.move_to(ZONES[usize::try_from(draw(8)).unwrap()]).await;
        // Whatever is given is taken, whole or in parts.
        let part = [LIMIT, LIMIT / 2, LIMIT / 4][usize::try_from(draw(3)).unwrap()];
        while ada.spend(part).await.is_ok() {
            granted.push((world.clock.now(), part));
        }
        world.clock.advance(Duration::minutes(draw(600).try_into().unwrap()));
    }
    // A span of so many days meets one window more than that whole, and one in part.
    for (first, (began, _)) in granted.iter().enumerate() {
        let mut sum = 0;
        for (at, tokens) in &granted[first..] {
            sum += tokens;
            let windows = (*at - *began).whole_days() + 2;
            assert!(sum <= windows * LIMIT, "{sum} tokens from {began} to {at}");
        }
    }
    let (days, sum) = ((world.clock.now() - granted[0].0).whole_days(), granted.iter().map(|(_, tokens)| tokens).sum::<i64>());
    assert!(days > 60 && sum > days / 3 * LIMIT, "the limit can be used: {sum} tokens in {days} days");
}
