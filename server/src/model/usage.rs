//! Reports of usage, and the limits on it.

use super::{
    Service, administrator,
    export::{self, By, Format},
    words,
};
use crate::{
    Result, clock,
    data::{self, Connection, Pool, listen::Change, usage::Scope},
};
use contract::{
    Breakdown, BudgetChange, BudgetView, Caller, Code, PersonId, Problem, SetBy, Subject, SubjectView, Totals, Unit, UsageReport, Whose,
    Window,
};
use futures::stream::BoxStream;
use time::{Date, OffsetDateTime};

/// Usage over the last `days` days, today among them, in the caller's time zone; the days broken down by `by`.
pub async fn report(service: &Service, caller: &Caller, whose: Whose, days: u16, by: Breakdown) -> Result<UsageReport> {
    if !whose.breakdowns().contains(&by) {
        return Err(Problem::new(Code::Invalid, format!("This usage is not broken down by {}.", by.code())).field("by").into());
    }
    let mut connection = service.pool.acquire().await?;
    let (scope, to) = scope(&mut connection, service.clock.now(), caller, whose, (days, REPORTED)).await?;
    let mut report = UsageReport {
        from: scope.from,
        to,
        totals: Totals::default(),
        by,
        by_day: Vec::new(),
        by_model: Vec::new(),
        by_person: Vec::new(),
        by_group: Vec::new(),
        by_runtime: Vec::new(),
        by_key: Vec::new(),
    };
    for breakdown in whose.breakdowns() {
        let lines = data::usage::lines(&mut connection, scope, *breakdown).await?;
        if *breakdown == by {
            let leaders: Vec<String> = lines.iter().take(UsageReport::LEADERS).map(|line| line.key.clone()).collect();
            report.by_day = data::usage::days(&mut connection, scope, by, &leaders).await?;
        }
        *report.lines_mut(*breakdown) = lines.into_iter().map(|line| line.line).collect();
    }
    // Each call is of one model.
    report.totals = report.by_model.iter().fold(Totals::default(), |sum, line| sum + line.totals);
    Ok(report)
}

/// How far back a report goes, in days.
const REPORTED: u16 = 366;
/// How far back totals of days are exported: ten years.
const EXPORTED: u16 = 3660;

/// The last `days` days as a file: the records that [`report`] covers, or totals of days, which go further back.
pub async fn export(
    pool: &Pool,
    now: OffsetDateTime,
    caller: &Caller,
    (whose, days): (Whose, u16),
    (by, format): (By, Format),
) -> Result<BoxStream<'static, Result<String>>> {
    let most = if by == By::Day { EXPORTED } else { REPORTED };
    let (scope, to) = scope(&mut *pool.acquire().await?, now, caller, whose, (days, most)).await?;
    Ok(match by {
        By::Call => export::records(pool.clone(), scope, format),
        By::Day => export::days(pool.clone(), scope, to, format),
    })
}

/// Which records the caller asks for and may see, and the last day of them: today.
async fn scope<'a>(
    connection: &mut Connection,
    now: OffsetDateTime,
    caller: &'a Caller,
    whose: Whose,
    (days, most): (u16, u16),
) -> Result<(Scope<'a>, Date)> {
    if !(1..=most).contains(&days) {
        return Err(Problem::new(Code::Invalid, format!("This covers 1 to {most} days.")).field("days").into());
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
    data::listen::notify(connection, Change::Limits).await?;
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
