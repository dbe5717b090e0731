//! SQL of `budget` and of how much of a limit is gone.

use super::Connection;
use crate::Result;
use contract::{
    BudgetChange, BudgetId, BudgetView, KeyId, KeyLimit, Limit, PersonId, RuntimeId, SetBy, Subject, SubjectView, Unit, Window,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// A row of a limit, with how it stands.
struct Row {
    budget_id: Uuid,
    subject: String,
    subject_id: Option<Uuid>,
    name: String,
    set_by: SetBy,
    window: Window,
    unit: Unit,
    amount: i64,
    extra: i64,
    settled: i64,
    reserved: i64,
    resets_at: Option<OffsetDateTime>,
}

impl From<Row> for BudgetView {
    fn from(row: Row) -> Self {
        Self {
            budget_id: BudgetId(row.budget_id),
            subject: subject(&row.subject, row.subject_id),
            name: row.name,
            set_by: row.set_by,
            window: row.window,
            unit: row.unit,
            amount: row.amount + row.extra,
            extra: row.extra,
            settled: row.settled,
            reserved: row.reserved,
            resets_at: row.resets_at,
        }
    }
}

/// The subject as it is stored.
pub(super) fn subject(kind: &str, id: Option<Uuid>) -> Subject {
    let id = id.unwrap_or_default();
    match kind {
        "person" => Subject::Person(id.into()),
        "group" => Subject::Group(id.into()),
        "runtime" => Subject::Runtime(id.into()),
        "key" => Subject::Key(id.into()),
        "model" => Subject::Model(id.into()),
        _ => Subject::Everyone,
    }
}

/// The subject's columns: person, group, runtime, key, model.
fn columns(subject: Subject) -> [Option<Uuid>; 5] {
    let mut ids = [None; 5];
    match subject {
        Subject::Everyone => {}
        Subject::Person(id) => ids[0] = Some(id.0),
        Subject::Group(id) => ids[1] = Some(id.0),
        Subject::Runtime(id) => ids[2] = Some(id.0),
        Subject::Key(id) => ids[3] = Some(id.0),
        Subject::Model(id) => ids[4] = Some(id.0),
    }
    ids
}

/// Whose calls are asked about.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Who pays.
    pub person_id: PersonId,
    /// From which runtimes.
    pub runtimes: Vec<RuntimeId>,
    /// With which keys.
    pub keys: Vec<KeyId>,
    /// The model's name, where it is one call.
    pub model: Option<String>,
}

impl Scope {
    /// All runtimes and open keys of a person.
    pub async fn of(connection: &mut Connection, person_id: PersonId) -> Result<Self> {
        let runtimes = sqlx::query_scalar!(
            r#"select runtime_id as "id: RuntimeId" from runtime where person_id = $1 and desired_state <> 'deleted'"#,
            person_id.0
        );
        let runtimes = runtimes.fetch_all(&mut *connection).await?;
        let keys =
            sqlx::query_scalar!(r#"select key_id as "id: KeyId" from model_key where person_id = $1 and revoked_at is null"#, person_id.0);
        Ok(Self { person_id, runtimes, keys: keys.fetch_all(connection).await?, model: None })
    }

    fn ids(&self) -> (Vec<Uuid>, Vec<Uuid>) {
        (self.runtimes.iter().map(|id| id.0).collect(), self.keys.iter().map(|id| id.0).collect())
    }
}

/// Begins to count for the limits of this scope that no call has begun yet, so that [`applying`] tells what was used before they were set.
pub async fn open(connection: &mut Connection, scope: &Scope, now: OffsetDateTime) -> Result<()> {
    let (runtimes, keys) = scope.ids();
    sqlx::query!(
        "select open_budget_tallies($1, array_agg(b.budget_id), $5)
         from budgets_applying($1, $2, $3, $4) b
         where not exists (select from budget_tally t where t.budget_id = b.budget_id and (t.person_id is null or t.person_id = $1))
         having count(*) > 0",
        scope.person_id.0,
        &runtimes,
        &keys,
        scope.model,
        now
    )
    .fetch_optional(connection)
    .await?;
    Ok(())
}

/// The limits that apply to these calls, with how much of each is gone.
pub async fn applying(connection: &mut Connection, scope: &Scope, now: OffsetDateTime) -> Result<Vec<BudgetView>> {
    let (runtimes, keys) = scope.ids();
    let rows = sqlx::query_as!(
        Row,
        r#"select b.budget_id as "budget_id!", b.subject as "subject!", b.subject_id, budget_subject_name(b, false) as "name!", b.set_by as "set_by!: SetBy",
                  b.time_window as "window!: Window", b.unit as "unit!: Unit", b.amount as "amount!", present.extra as "extra!",
                  present.settled as "settled!", present.reserved as "reserved!", present.resets_at
           from budgets_applying($1, $2, $3, $4) b
           left join budget_tally t on t.budget_id = b.budget_id and (t.person_id is null or t.person_id = $1)
           cross join lateral budget_present(b, t, $1, $5) present
           order by array_position(array['person', 'everyone', 'group', 'runtime', 'key', 'model'], b.subject),
                    array_position(array['money', 'tokens', 'requests', 'concurrency'], b.unit),
                    array_position(array['minute', 'hour', 'day', 'week', 'month', 'total'], b.time_window), 4, b.set_by"#,
        scope.person_id.0,
        &runtimes,
        &keys,
        scope.model,
        now
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Every limit, with how much of it is gone: of everyone's, by whoever used most of it.
pub async fn all(connection: &mut Connection, now: OffsetDateTime) -> Result<Vec<BudgetView>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select b.budget_id as "budget_id!", b.subject as "subject!", b.subject_id, budget_subject_name(b, true) as "name!", b.set_by as "set_by!: SetBy",
                  b.time_window as "window!: Window", b.unit as "unit!: Unit", b.amount as "amount!", coalesce(present.extra, 0) as "extra!",
                  coalesce(present.settled, 0) as "settled!", coalesce(present.reserved, 0) as "reserved!", present.resets_at
           from budget b
           left join lateral (
               select p.* from budget_tally t cross join lateral budget_present(b, t, t.person_id, $1) p
               where t.budget_id = b.budget_id order by p.settled + p.reserved desc limit 1
           ) present on true
           order by array_position(array['everyone', 'group', 'person', 'model', 'runtime', 'key'], b.subject), lower(budget_subject_name(b, true)),
                    array_position(array['money', 'tokens', 'requests', 'concurrency'], b.unit),
                    array_position(array['minute', 'hour', 'day', 'week', 'month', 'total'], b.time_window), b.set_by"#,
        now
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// A limit without how much of it is gone.
pub struct Found {
    /// What it is for.
    pub subject: Subject,
    /// That one's name; empty for everyone.
    pub name: String,
    /// Whose it is.
    pub set_by: SetBy,
    /// The window.
    pub window: Window,
    /// What it counts.
    pub unit: Unit,
    /// How much there is.
    pub amount: i64,
}

/// A limit, where it is still there.
pub async fn find(connection: &mut Connection, id: BudgetId) -> Result<Option<Found>> {
    let row = sqlx::query!(
        r#"select subject as "subject!", subject_id, budget_subject_name(b, false) as "name!", time_window as "window: Window",
                  unit as "unit: Unit", amount, set_by as "set_by: SetBy"
           from budget b where budget_id = $1"#,
        id.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Found {
        subject: subject(&row.subject, row.subject_id),
        name: row.name,
        set_by: row.set_by,
        window: row.window,
        unit: row.unit,
        amount: row.amount,
    }))
}

/// Waits until no call is being judged, and keeps calls from it until the transaction ends: a limit begins between two calls.
pub async fn lock(connection: &mut Connection) -> Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(42, 0)").execute(connection).await?;
    Ok(())
}

/// Whose limits of this kind there are.
pub async fn whose(connection: &mut Connection, change: &BudgetChange) -> Result<Vec<SetBy>> {
    let subject_id = columns(change.subject).into_iter().flatten().next();
    let found = sqlx::query_scalar!(
        r#"select set_by as "set_by: SetBy" from budget where subject_id is not distinct from $1 and time_window = $2 and unit = $3"#,
        subject_id,
        change.window as Window,
        change.unit as Unit
    );
    Ok(found.fetch_all(connection).await?)
}

/// Sets, changes or removes a limit of an administrator's or of an owner's; within [`lock`].
pub async fn put(connection: &mut Connection, id: BudgetId, change: &BudgetChange, set_by: SetBy, now: OffsetDateTime) -> Result<()> {
    let [person_id, group_id, runtime_id, key_id, model_id] = columns(change.subject);
    if let Some(amount) = change.amount {
        sqlx::query!(
            "insert into budget (budget_id, person_id, group_id, runtime_id, key_id, model_id, time_window, unit, amount, created_at, updated_at, set_by)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)
             on conflict on constraint budget_scope_key do update set amount = excluded.amount, updated_at = excluded.updated_at",
            id.0,
            person_id,
            group_id,
            runtime_id,
            key_id,
            model_id,
            change.window as Window,
            change.unit as Unit,
            amount,
            now,
            set_by as SetBy
        )
        .execute(&mut *connection)
        .await?;
    } else {
        let subject_id = [person_id, group_id, runtime_id, key_id, model_id].into_iter().flatten().next();
        // Calls that end lock several, in this order.
        sqlx::query!(
            "select from budget_tally join budget using (budget_id)
             where subject_id is not distinct from $1 and time_window = $2 and budget.unit = $3 and set_by = $4
             order by tally_id for update of budget_tally",
            subject_id,
            change.window as Window,
            change.unit as Unit,
            set_by as SetBy
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "delete from budget where subject_id is not distinct from $1 and time_window = $2 and unit = $3 and set_by = $4",
            subject_id,
            change.window as Window,
            change.unit as Unit,
            set_by as SetBy
        )
        .execute(&mut *connection)
        .await?;
    }
    // While a person's own limit stands in its place, everyone's does not count for them: it begins anew with what is recorded.
    sqlx::query!(
        "delete from budget_tally t using budget b
         where b.budget_id = t.budget_id and b.subject = 'everyone' and b.time_window = $2 and b.unit = $3 and t.person_id = $1",
        person_id,
        change.window as Window,
        change.unit as Unit
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The limits of these keys.
pub async fn of_keys(connection: &mut Connection, keys: &[Uuid]) -> Result<Vec<(KeyId, KeyLimit)>> {
    let rows = sqlx::query!(
        r#"select key_id as "key_id!: KeyId", time_window as "window: Window", unit as "unit: Unit", amount, set_by as "set_by: SetBy"
           from budget where key_id = any($1) order by unit, time_window, set_by"#,
        keys
    );
    let rows = rows.fetch_all(connection).await?;
    let limits = rows.into_iter().map(|row| {
        let limit = Limit { window: row.window, unit: row.unit, amount: row.amount };
        (row.key_id, KeyLimit { limit, set_by: row.set_by })
    });
    Ok(limits.collect())
}

/// What a limit may be set for, with its name and, for a runtime and a key, its owner's.
pub async fn subjects(connection: &mut Connection) -> Result<Vec<SubjectView>> {
    let rows = sqlx::query!(
        r#"select kind as "kind!", id as "id!", name as "name!" from (
               select 'group' as kind, group_id as id, name from person_group
               union all select 'person', person_id, name || ', ' || email from person
               union all select 'model', model_id, name from model
               union all select 'runtime', runtime_id, runtime.name || ', ' || person.name
                         from runtime join person using (person_id) where desired_state <> 'deleted'
               union all select 'key', key_id, model_key.name || ', ' || person.name
                         from model_key join person using (person_id) where runtime_id is null and revoked_at is null
           ) subject
           order by array_position(array['group', 'person', 'model', 'runtime', 'key'], kind), lower(name)"#
    );
    let rows = rows.fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| SubjectView { subject: subject(&row.kind, Some(row.id)), name: row.name }).collect())
}

/// The name of what a limit is to be for; a person's is the address. None where there is no such thing.
pub async fn name_of(connection: &mut Connection, of: Subject) -> Result<Option<String>> {
    let [person_id, group_id, runtime_id, key_id, model_id] = columns(of);
    if of == Subject::Everyone {
        return Ok(Some("everyone".to_owned()));
    }
    let name = sqlx::query_scalar!(
        r#"select coalesce((select email from person where person_id = $1), (select name from person_group where group_id = $2),
                           (select name from runtime where runtime_id = $3), (select name from model_key where key_id = $4),
                           (select name from model where model_id = $5)) as "name?""#,
        person_id,
        group_id,
        runtime_id,
        key_id,
        model_id
    );
    Ok(name.fetch_one(connection).await?)
}

/// The person whose page a limit of this subject stands on; none where it concerns several.
pub async fn owner_of(connection: &mut Connection, of: Subject) -> Result<Option<PersonId>> {
    Ok(match of {
        Subject::Person(id) => Some(id),
        Subject::Runtime(id) => {
            sqlx::query_scalar!(r#"select person_id as "id: PersonId" from runtime where runtime_id = $1"#, id.0)
                .fetch_optional(connection)
                .await?
        }
        Subject::Key(id) => {
            sqlx::query_scalar!(r#"select person_id as "id: PersonId" from model_key where key_id = $1"#, id.0)
                .fetch_optional(connection)
                .await?
        }
        Subject::Everyone | Subject::Group(_) | Subject::Model(_) => None,
    })
}
