//! Reports of usage, and the limits on it.

use super::{
    Service, administrator,
    export::{self, Format},
    words,
};
use crate::{
    Result, clock,
    data::{self, Connection, Pool, listen::Change, usage::Scope},
};
use contract::{
    BudgetChange, BudgetView, Caller, Code, PersonId, Problem, SetBy, Subject, SubjectView, Totals, Unit, UsageLine, UsageReport, Whose,
    Window,
};
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use time::{Date, OffsetDateTime};

/// Usage over the last `days` days, today among them, in the caller's time zone.
pub async fn report(service: &Service, caller: &Caller, whose: Whose, days: u16) -> Result<UsageReport> {
    let mut connection = service.pool.acquire().await?;
    let (scope, to) = scope(&mut connection, service.clock.now(), caller, whose, days).await?;
    let by_day = data::usage::by_day(&mut connection, scope).await?;
    let by_runtime = data::usage::by_runtime(&mut connection, scope).await?;
    let (by_person, by_group, by_key) = if whose == Whose::Everyone {
        (data::usage::by_person(&mut connection, scope).await?, data::usage::by_group(&mut connection, scope).await?, Vec::new())
    } else {
        (Vec::new(), Vec::new(), data::usage::by_key(&mut connection, scope).await?)
    };
    let mut totals = Totals::default();
    let mut models: BTreeMap<&str, Totals> = BTreeMap::new();
    for day in &by_day {
        add(&mut totals, &day.totals);
        add(models.entry(&day.model).or_default(), &day.totals);
    }
    let mut by_model: Vec<UsageLine> =
        models.into_iter().map(|(name, totals)| UsageLine { name: name.to_owned(), person_id: None, totals }).collect();
    by_model.sort_by_key(|line| std::cmp::Reverse((line.totals.cost, line.totals.input_tokens + line.totals.output_tokens)));
    Ok(UsageReport { from: scope.from, to, totals, by_day, by_model, by_person, by_group, by_runtime, by_key })
}

/// The records of the last `days` days as a file, as [`report`] covers them.
pub async fn export(
    pool: &Pool,
    now: OffsetDateTime,
    caller: &Caller,
    whose: Whose,
    days: u16,
    format: Format,
) -> Result<BoxStream<'static, Result<String>>> {
    let (scope, _) = scope(&mut *pool.acquire().await?, now, caller, whose, days).await?;
    Ok(export::file(pool.clone(), scope, format))
}

/// Which records the caller asks for and may see, and the last day of them: today.
async fn scope<'a>(
    connection: &mut Connection,
    now: OffsetDateTime,
    caller: &'a Caller,
    whose: Whose,
    days: u16,
) -> Result<(Scope<'a>, Date)> {
    if !(1..=366).contains(&days) {
        return Err(Problem::new(Code::Invalid, "A report covers 1 to 366 days.").field("days").into());
    }
    let person_id = match whose {
        Whose::Mine => Some(caller.person_id),
        Whose::Person(person_id) if person_id == caller.person_id => Some(person_id),
        Whose::Person(person_id) => {
            administrator(caller)?;
            Some(person_id)
        }
        Whose::Everyone => {
            administrator(caller)?;
            None
        }
    };
    let to = data::usage::today(connection, now, &caller.time_zone).await?;
    let from = to.saturating_sub(time::Duration::days(i64::from(days) - 1));
    Ok((Scope { person_id, from, time_zone: &caller.time_zone }, to))
}

fn add(sum: &mut Totals, part: &Totals) {
    sum.calls += part.calls;
    sum.refused += part.refused;
    sum.input_tokens += part.input_tokens;
    sum.output_tokens += part.output_tokens;
    sum.cost = sum.cost + part.cost;
}

/// The limits that apply to a person.
pub async fn budgets(service: &Service, caller: &Caller, person: Option<PersonId>) -> Result<Vec<BudgetView>> {
    let person_id = person.unwrap_or(caller.person_id);
    if person_id != caller.person_id {
        administrator(caller)?;
    }
    let (mut connection, now) = (data::begin(&service.pool).await?, service.clock.now());
    let scope = data::limit::Scope::of(&mut connection, person_id).await?;
    data::limit::open(&mut connection, &scope, now).await?;
    let limits = data::limit::applying(&mut connection, &scope, now).await?;
    connection.commit().await?;
    Ok(limits)
}

/// Every limit; for administrators.
pub async fn all_budgets(service: &Service, caller: &Caller) -> Result<Vec<BudgetView>> {
    administrator(caller)?;
    data::limit::all(&mut *service.pool.acquire().await?, service.clock.now()).await
}

/// What a limit may be set for; for administrators.
pub async fn subjects(service: &Service, caller: &Caller) -> Result<Vec<SubjectView>> {
    administrator(caller)?;
    data::limit::subjects(&mut *service.pool.acquire().await?).await
}

/// Sets, changes or removes an administrators' limit. It holds from the next call on.
pub async fn set_budget(service: &Service, caller: &Caller, change: BudgetChange) -> Result<()> {
    administrator(caller)?;
    let mut transaction = data::begin(&service.pool).await?;
    put(service, &mut transaction, caller, change, SetBy::Administrator).await?;
    transaction.commit().await?;
    Ok(())
}

/// Changes or removes the limit that a key's owner set; for administrators, whose it is from then on when it is changed.
pub async fn replace_owners(service: &Service, caller: &Caller, change: BudgetChange) -> Result<()> {
    administrator(caller)?;
    let mut transaction = data::begin(&service.pool).await?;
    put(service, &mut transaction, caller, BudgetChange { amount: None, ..change }, SetBy::Owner).await?;
    if change.amount.is_some() {
        put(service, &mut transaction, caller, change, SetBy::Administrator).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Sets, changes or removes a limit of an administrator's or an owner's within a transaction, with its line in the audit log.
pub(super) async fn put(
    service: &Service,
    connection: &mut Connection,
    caller: &Caller,
    change: BudgetChange,
    set_by: SetBy,
) -> Result<()> {
    is_sound(&change)?;
    data::limit::lock(connection).await?;
    let Some(name) = data::limit::name_of(connection, change.subject).await? else {
        let code = if matches!(change.subject, Subject::Person(_)) { Code::PersonNotFound } else { Code::NotFound };
        return Err(Problem::new(code, "What this limit is for does not exist.").field("subject").into());
    };
    let owner = data::limit::owner_of(connection, change.subject).await?;
    data::limit::put(connection, clock::new_id(), &change, set_by, service.clock.now()).await?;
    let action = if change.amount.is_some() { "limit.set" } else { "limit.removed" };
    service.record(connection, caller, action, owner, &name, &said(change.window, change.unit, change.amount)).await?;
    // One that several share concerns everyone's page: whoever hears `Anything` reads anew.
    data::listen::notify(connection, owner.map_or(Change::Anything, |person_id| Change::Usage { person_id })).await
}

/// Whether there can be such a limit.
pub(super) fn is_sound(change: &BudgetChange) -> Result<()> {
    if change.amount.is_some_and(|amount| !(0..=1_000_000_000_000_000).contains(&amount)) {
        return Err(Problem::new(Code::Invalid, "A limit is zero or more, and not astronomical.").field("amount").into());
    }
    if change.unit == Unit::Concurrency && change.window != Window::Total {
        return Err(Problem::new(Code::Invalid, "Calls at once have no window: choose all time.").field("window").into());
    }
    Ok(())
}

/// A limit in words, for the audit log.
pub(super) fn said(window: Window, unit: Unit, amount: Option<i64>) -> String {
    match amount {
        Some(amount) => words::limit(amount, unit, window),
        None => words::limited(unit, window),
    }
}
