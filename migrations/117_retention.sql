-- Old usage records become totals: what was used stays known, what each call was does not.

-- What records older than the retention were folded into. It grows only: a line is added to when a record of its time comes late.
create table usage_total (
    -- The quarter of an hour that the calls came in, by its beginning. Every day of every time zone begins with one, and so does every window that a limit
    -- is counted from: whatever cuts time that way has a line on one side.
    at                  timestamptz not null,
    person_id           uuid not null references person,
    -- No references, which would make two lines one where they become null: what is gone is not found, as with records.
    runtime_id          uuid,
    key_id              uuid,
    model               text not null,
    route               text not null,
    outcome             text not null,
    calls               bigint not null,
    input_tokens        bigint not null,
    cached_input_tokens bigint not null,
    output_tokens       bigint not null,
    cost                bigint not null,
    constraint usage_total_key unique nulls not distinct (person_id, at, runtime_id, key_id, model, route, outcome)
);
create index usage_total_at_idx on usage_total (at);

-- What was used, of all time: the only place that knows that there are records and totals. Whoever adds up reads this, and counts with `calls`
-- (the breaker's five minutes are never old, and it reads the records).
create view usage_entry as
select at, person_id, runtime_id, key_id, model, route, outcome, 1::bigint as calls, input_tokens, cached_input_tokens, output_tokens, cost
from usage_record
union all
select at, person_id, runtime_id, key_id, model, route, outcome, calls, input_tokens, cached_input_tokens, output_tokens, cost
from usage_total;

-- Begins to count for those of these limits that are not counted yet, with what is known of the present window: what was used, and what calls in
-- progress hold.
create or replace function open_budget_tallies(who uuid, ids uuid[], at timestamptz) returns void language plpgsql as
$$
#variable_conflict use_variable
declare
    b       budget;
    opened  bigint;
    begins  timestamptz;
    ends    timestamptz;
    whose   uuid[];
    named   text;
    held_tokens bigint;
    held_micros bigint;
    held_calls  bigint;
    tokens  bigint;
    micros  bigint;
    calls   bigint;
begin
    perform pg_advisory_xact_lock(42, 1);
    for b in
        select l.* from budget l
        where l.budget_id = any(ids)
          and not exists (select from budget_tally t where t.budget_id = l.budget_id and (t.person_id is null or t.person_id = who))
        order by l.budget_id
    loop
        select w.window_start, w.window_end into begins, ends from next_budget_window(b.time_window, budget_zone(b, who), null, at) w;
        whose := case b.subject
            when 'everyone' then array[who]
            when 'person' then array[b.person_id]
            when 'group' then array(select m.person_id from person_group_member m where m.group_id = b.group_id)
            when 'runtime' then array(select r.person_id from runtime r where r.runtime_id = b.runtime_id)
            when 'key' then array(select k.person_id from model_key k where k.key_id = b.key_id)
        end;
        select m.name into named from model m where m.model_id = b.model_id;

        insert into budget_tally (budget_id, person_id, unit, window_start, window_end)
        values (b.budget_id, case when b.subject = 'everyone' then who end, b.unit, begins, ends)
        returning tally_id into opened;
        -- A call that is being settled at this moment is waited for: then it is gone here, and recorded below.
        with mine as materialized (
            select h.reservation_id from reservation h
            where h.created_at >= begins and h.created_at < ends
              and (whose is null or h.person_id = any(whose))
              and (b.runtime_id is null or h.runtime_id = b.runtime_id)
              and (b.key_id is null or h.key_id = b.key_id)
              and (b.model_id is null or h.model = named)
            order by h.reservation_id for no key update
        ), held as (
            update reservation h
            set tallies = h.tallies || opened, tally_starts = h.tally_starts || begins
            from mine where h.reservation_id = mine.reservation_id
            returning h.tokens, h.micros
        )
        select coalesce(sum(held.tokens), 0), coalesce(sum(held.micros), 0), count(*) into held_tokens, held_micros, held_calls from held;
        if b.model_id is null then
            select coalesce(sum(r.input_tokens + r.output_tokens), 0), coalesce(sum(r.cost), 0), coalesce(sum(r.calls), 0)
            into tokens, micros, calls
            from usage_entry r
            where r.person_id = any(whose) and r.at >= begins and r.at < ends and r.outcome <> 'refused'
              and (b.runtime_id is null or r.runtime_id = b.runtime_id) and (b.key_id is null or r.key_id = b.key_id);
        else
            select coalesce(sum(r.input_tokens + r.output_tokens), 0), coalesce(sum(r.cost), 0), coalesce(sum(r.calls), 0)
            into tokens, micros, calls
            from usage_entry r
            where r.model = named and r.at >= begins and r.at < ends and r.outcome <> 'refused';
        end if;
        update budget_tally t
        set settled = case b.unit when 'tokens' then tokens when 'money' then micros when 'requests' then calls else 0 end,
            reserved = case b.unit when 'tokens' then held_tokens when 'money' then held_micros else held_calls end
        where t.tally_id = opened;
    end loop;
end
$$;
