-- Limits for everyone, a person, a group, a runtime, a key and a model; in money, tokens, calls, and calls at once. What is gone of one is counted
-- for that limit alone, in one row (a tally): so a call pays only for the limits that apply to it, and without any it writes nothing but itself.

alter table budget
    drop constraint budget_scope_key,
    drop constraint budget_time_window_check,
    drop constraint budget_unit_check,
    -- all members together
    add column group_id   uuid references person_group on delete cascade,
    add column runtime_id uuid references runtime on delete cascade,
    add column key_id     uuid references model_key on delete cascade,
    -- all calls of it together
    add column model_id   uuid references model on delete cascade,
    add constraint budget_time_window_check check (time_window in ('minute', 'hour', 'day', 'week', 'month', 'total')),
    add constraint budget_unit_check check (unit in ('money', 'tokens', 'requests', 'concurrency')),
    -- Calls at once are counted now, in no window.
    add constraint budget_concurrency_check check (unit <> 'concurrency' or time_window = 'total'),
    add constraint budget_subject_check check (num_nonnulls(person_id, group_id, runtime_id, key_id, model_id) <= 1);
alter table budget
    add column subject text not null generated always as (
        case when person_id is not null then 'person' when group_id is not null then 'group' when runtime_id is not null then 'runtime'
             when key_id is not null then 'key' when model_id is not null then 'model' else 'everyone' end) stored,
    add column subject_id uuid generated always as (coalesce(person_id, group_id, runtime_id, key_id, model_id)) stored;
alter table budget add constraint budget_scope_key unique nulls not distinct (subject, subject_id, time_window, unit);
create index budget_person_idx on budget (person_id) where person_id is not null;
create index budget_group_idx on budget (group_id) where group_id is not null;
create index budget_runtime_idx on budget (runtime_id) where runtime_id is not null;
create index budget_key_idx on budget (key_id) where key_id is not null;
create index budget_model_idx on budget (model_id) where model_id is not null;

create table budget_tally (
    tally_id     bigint generated always as identity primary key,
    budget_id    uuid not null references budget on delete cascade,
    -- whose, of everyone's limit, which each person has for themselves; otherwise none
    person_id    uuid references person on delete cascade,
    -- its limit's, which does not change
    unit         text not null,
    -- The present window. A later one takes its place in this row, and what was held in the one before is then no matter any more.
    window_start timestamptz not null,
    window_end   timestamptz not null,
    settled      bigint not null default 0,
    reserved     bigint not null default 0 check (reserved >= 0),
    -- granted on top of the amount until the window ends
    extra        bigint not null default 0 check (extra >= 0),
    -- the share in percent that was told last in the chat of a runtime
    warned       int not null default 0,
    constraint budget_tally_key unique nulls not distinct (budget_id, person_id)
) with (fillfactor = 50);

alter table reservation
    drop column day_start,
    drop column month_start,
    -- where it is counted, and in the window that began when
    add column tallies      bigint[] not null default '{}',
    add column tally_starts timestamptz[] not null default '{}';

drop function reserve_model_call;
drop function budget_window;
drop function used_within;
drop function lock_budget_usage;
drop table budget_usage;

-- The locks, in the order in which everybody takes them:
--  1. (42, 0): shared by a call that reserves, alone for a change of limits. So a call is either seen by the tally that a new limit begins with,
--     or it sees the limit.
--  2. (42, 1): whoever opens tallies, one after another.
--  3. Reservations, by their id.
--  4. Tallies, by their id.
-- Calls that share no limit share no row, and do not wait for each other.

-- The window of this kind that `at` lies in, when the one before ended at `ended`. Windows lie end to end, whatever the time zone is in between, and
-- the first one in another time zone is never shorter than a whole one: so nobody gets a limit twice.
create function next_budget_window(kind text, zone text, ended timestamptz, at timestamptz, out window_start timestamptz, out window_end timestamptz)
    language plpgsql stable as
$$
declare
    step  interval;
    -- What a window has at least that begins between two midnights. Months and weeks are long, and time zones differ by hours: about half of one
    -- tells its end from the next one's.
    whole interval;
begin
    if kind = 'total' then
        window_start := '-infinity';
        window_end := 'infinity';
        return;
    end if;
    step := ('1 ' || kind)::interval;
    whole := case kind when 'month' then interval '336 hours' when 'week' then interval '84 hours' when 'day' then interval '24 hours' else step end;
    window_start := date_trunc(kind, at, zone);
    if kind in ('minute', 'hour') then
        window_end := window_start + step;
    else
        window_end := ((window_start at time zone zone) + step) at time zone zone;
    end if;
    if ended > window_start then
        -- The last one ended after this one's beginning: it was begun in another time zone.
        window_start := ended;
        if window_end < ended + whole then
            window_end := ((window_end at time zone zone) + step) at time zone zone;
        end if;
    end if;
end
$$;

-- The limits that apply to a call. A person's own limit stands in place of everyone's for the same window and unit; of all others each applies.
create function budgets_applying(who uuid, runtimes uuid[], keys uuid[], called text) returns setof budget language sql stable as
$$
    select b.* from budget b
    where b.person_id = who
       or b.runtime_id = any(runtimes)
       or b.key_id = any(keys)
       or b.group_id = any(array(select m.group_id from person_group_member m where m.person_id = who))
       or b.model_id = (select m.model_id from model m where m.name = called)
       or (b.subject = 'everyone'
           and not exists (select from budget own where own.person_id = who and own.time_window = b.time_window and own.unit = b.unit))
$$;

-- In whose days a limit counts: those of the person that it is for, or whose runtime or key; in UTC where several persons share it.
create function budget_zone(b budget, who uuid) returns text language sql stable as
$$
    select coalesce(
        (select p.time_zone from person p
         where p.person_id = case b.subject
             when 'everyone' then who
             when 'person' then b.person_id
             when 'runtime' then (select r.person_id from runtime r where r.runtime_id = b.runtime_id)
             when 'key' then (select k.person_id from model_key k where k.key_id = b.key_id)
         end),
        'UTC')
$$;

-- The name of what a limit is for; with its owner's where it has one and that is asked for.
create function budget_subject_name(b budget, with_owner boolean) returns text language sql stable as
$$
    select coalesce(
        case b.subject
            when 'person' then (select p.name from person p where p.person_id = b.person_id)
            when 'group' then (select g.name from person_group g where g.group_id = b.group_id)
            when 'model' then (select m.name from model m where m.model_id = b.model_id)
            when 'runtime' then (select r.name || case when with_owner then ', ' || p.name else '' end
                                 from runtime r join person p using (person_id) where r.runtime_id = b.runtime_id)
            when 'key' then (select k.name || case when with_owner then ', ' || p.name else '' end
                             from model_key k join person p using (person_id) where k.key_id = b.key_id)
        end,
        '')
$$;

-- How a limit stands at this time; of a window that no call began yet, nothing is gone.
create function budget_present(
    b budget, t budget_tally, who uuid, at timestamptz, out settled bigint, out reserved bigint, out extra bigint, out resets_at timestamptz
) language sql stable as
$$
    select case when t.window_end > at then t.settled else 0 end,
           case when t.window_end > at then t.reserved else 0 end,
           case when t.window_end > at then t.extra else 0 end,
           nullif(case when t.window_end > at then t.window_end
                       else (select w.window_end from next_budget_window(b.time_window, budget_zone(b, who), t.window_end, at) w) end,
                  'infinity')
$$;

-- Begins to count for those of these limits that are not counted yet, with what is known of the present window: what is recorded, and what calls
-- in progress hold.
create function open_budget_tallies(who uuid, ids uuid[], at timestamptz) returns void language plpgsql as
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
            select coalesce(sum(r.input_tokens + r.output_tokens), 0), coalesce(sum(r.cost), 0), count(*) into tokens, micros, calls
            from usage_record r
            where r.person_id = any(whose) and r.at >= begins and r.at < ends and r.outcome <> 'refused'
              and (b.runtime_id is null or r.runtime_id = b.runtime_id) and (b.key_id is null or r.key_id = b.key_id);
        else
            select coalesce(sum(r.input_tokens + r.output_tokens), 0), coalesce(sum(r.cost), 0), count(*) into tokens, micros, calls
            from usage_record r
            where r.model = named and r.at >= begins and r.at < ends and r.outcome <> 'refused';
        end if;
        update budget_tally t
        set settled = case b.unit when 'tokens' then tokens when 'money' then micros when 'requests' then calls else 0 end,
            reserved = case b.unit when 'tokens' then held_tokens when 'money' then held_micros else held_calls end
        where t.tally_id = opened;
    end loop;
end
$$;

-- Holds the worst case of a call against every limit that applies. What is left decides how long the answer may be: `granted` output tokens an
-- answer, at most `wanted`. Fewer than `least_output` are no answer: then nothing is held, `granted` is null, and `told` is the limit that refused,
-- the one that returns last where there are several. `forced` holds without judging. With `tells`, `told` may also be a limit of whose amount
-- `told_percent` is gone, which is said once a window.
create function reserve_model_call(
    id uuid, who uuid, runtime uuid, key uuid, called text, via text, at timestamptz, lease timestamptz,
    input bigint, wanted bigint, least_output bigint, answers bigint,
    input_price bigint, cached_price bigint, output_price bigint, forced boolean, tells boolean
) returns table (
    granted bigint, limited boolean, told uuid, told_percent int, told_amount bigint, told_until timestamptz, time_zone text
) language plpgsql as
$$
#variable_conflict use_variable
declare
    dear_input  bigint := greatest(input_price, cached_price);
    ids         uuid[];
    opened      boolean;
    line        record;
    zone        text;
    amount      bigint;
    rest        bigint;
    fits        bigint;
    ends        timestamptz;
    last        timestamptz;
    level       int;
    told_tally  bigint;
    is_refused  boolean := false;
    began       timestamptz := at;
    tallies     bigint[] := '{}';
    starts      timestamptz[] := '{}';
    tally_ends  timestamptz[] := '{}';
begin
    -- A reservation lost with PostgreSQL's last moments is a call that is settled anew; it must not cost each call a disk flush.
    perform set_config('synchronous_commit', 'off', true);
    perform pg_advisory_xact_lock_shared(42, 0);
    granted := wanted;
    limited := false;
    told_percent := 0;
    select array_agg(b.budget_id),
           bool_and(exists (select from budget_tally t where t.budget_id = b.budget_id and (t.person_id is null or t.person_id = who)))
    into ids, opened
    from budgets_applying(who, array[runtime], array[key], called) b;

    if ids is not null then
        if not opened then
            perform open_budget_tallies(who, ids, at);
        end if;
        for line in
            select b as budget, b.budget_id, b.time_window, b.unit, b.amount, t.tally_id, t.window_start, t.window_end, t.settled, t.reserved,
                   t.extra, t.warned
            from budget_tally t join budget b on b.budget_id = t.budget_id
            where t.budget_id = any(ids) and (t.person_id is null or t.person_id = who)
            order by t.tally_id for no key update of t
        loop
            if line.window_end <= at then
                zone := budget_zone(line.budget, who);
                select w.window_start, w.window_end into line.window_start, line.window_end
                from next_budget_window(line.time_window, zone, line.window_end, at) w;
                line.settled := 0;
                line.reserved := 0;
                line.extra := 0;
                line.warned := 0;
            end if;
            -- Another server's clock may be ahead of ours: then this call is the first of the window that it began.
            began := greatest(began, line.window_start);
            tallies := tallies || line.tally_id;
            starts := starts || line.window_start;
            tally_ends := tally_ends || line.window_end;

            amount := line.amount + line.extra;
            rest := amount - line.settled - line.reserved;
            limited := limited or line.unit in ('money', 'tokens');
            fits := case
                when line.unit in ('requests', 'concurrency') then case when rest >= 1 then wanted else -1 end
                when line.unit = 'tokens' then floor((rest - input)::numeric / answers)
                -- What costs nothing needs no money.
                when input * dear_input = 0 and output_price = 0 then wanted
                when rest::numeric * 1000000 < input::numeric * dear_input then -1
                when output_price = 0 then wanted
                else least(wanted, floor((rest::numeric * 1000000 - input::numeric * dear_input) / (output_price::numeric * answers)))
            end;
            if fits < least(least_output, wanted) then
                -- Calls at once return with the first that ends.
                ends := case when line.unit = 'concurrency' then at else line.window_end end;
                if not is_refused or ends > last then
                    is_refused := true;
                    last := ends;
                    told := line.budget_id;
                    told_amount := amount;
                    told_percent := 100;
                    told_until := case when line.unit <> 'concurrency' and isfinite(line.window_end) then line.window_end end;
                end if;
                continue;
            end if;
            granted := least(granted, fits);
            if tells and not is_refused and amount > 0 and line.unit <> 'concurrency' and line.time_window not in ('minute', 'hour') then
                level := case when line.settled::numeric * 100 >= amount::numeric * 85 then 85
                              when line.settled::numeric * 100 >= amount::numeric * 50 then 50 else 0 end;
                if level > greatest(line.warned, told_percent) then
                    told := line.budget_id;
                    told_tally := line.tally_id;
                    told_amount := amount;
                    told_percent := level;
                    told_until := case when isfinite(line.window_end) then line.window_end end;
                end if;
            end if;
        end loop;
        if told is not null then
            select p.time_zone into strict time_zone from person p where p.person_id = who;
        end if;
    end if;

    if is_refused and not forced then
        granted := null;
        return next;
        return;
    end if;
    if forced then
        granted := wanted;
        told := null;
    end if;

    insert into reservation (reservation_id, person_id, runtime_id, key_id, model, route, tokens, micros, input_tokens, output_tokens,
                             input_price, cached_input_price, output_price, created_at, lease_until, tallies, tally_starts)
    values (id, who, runtime, key, called, via, input + granted * answers,
            model_call_cost(input, 0, granted * answers, dear_input, 0, output_price), input, granted * answers,
            input_price, cached_price, output_price, began, lease, tallies, starts);
    if ids is not null then
        update budget_tally t
        set window_start = c.began,
            window_end = c.ends,
            settled = case when t.window_start = c.began then t.settled else 0 end,
            extra = case when t.window_start = c.began then t.extra else 0 end,
            reserved = case when t.window_start = c.began then t.reserved else 0 end
                + case t.unit when 'tokens' then input + granted * answers
                              when 'money' then model_call_cost(input, 0, granted * answers, dear_input, 0, output_price)
                              else 1 end,
            warned = case when t.tally_id = told_tally and told is not null then told_percent
                          when t.window_start = c.began then t.warned else 0 end
        from unnest(tallies, starts, tally_ends) c (tally, began, ends)
        where t.tally_id = c.tally;
    end if;
    return next;
end
$$;

-- Gives back what a call held and counts what it used, with its record. True when the call is counted now (also when it was before), false
-- when nothing is known of it. A call that was written off as lost and ends after all is corrected.
create or replace function settle_model_call(
    id uuid, input bigint, cached bigint, output bigint, took_ms bigint, first_ms bigint, ended text, is_estimated boolean
) returns boolean language plpgsql as
$$
#variable_conflict use_variable
declare
    held    reservation;
    before  usage_record;
    spent   bigint;
begin
    delete from reservation r where r.reservation_id = id returning r.* into held;
    if found then
        spent := model_call_cost(input, least(cached, input), output, held.input_price, held.cached_input_price, held.output_price);
        if cardinality(held.tallies) > 0 then
            perform from budget_tally t where t.tally_id = any(held.tallies) order by t.tally_id for no key update;
            update budget_tally t
            set reserved = t.reserved - case t.unit when 'tokens' then held.tokens when 'money' then held.micros else 1 end,
                settled = t.settled + case t.unit when 'tokens' then input + output when 'money' then spent when 'requests' then 1 else 0 end
            from unnest(held.tallies, held.tally_starts) c (tally, began)
            where t.tally_id = c.tally and t.window_start = c.began;
        end if;
        insert into usage_record (usage_record_id, at, person_id, runtime_id, key_id, model, route, input_tokens, cached_input_tokens,
                                  output_tokens, input_price, cached_input_price, output_price, cost, latency_ms, first_token_ms,
                                  outcome, estimated)
        values (id, held.created_at, held.person_id, held.runtime_id, held.key_id, held.model, held.route, input, least(cached, input),
                output, held.input_price, held.cached_input_price, held.output_price, spent, took_ms, first_ms, ended, is_estimated);
        return true;
    end if;

    select r.* into before from usage_record r where r.usage_record_id = id;
    if not found then
        return false;
    end if;
    if before.outcome <> 'lost' or ended = 'lost' then
        return true;
    end if;
    -- So that no tally is opened with what the record says now, and corrected once more.
    perform pg_advisory_xact_lock(42, 1);
    select r.* into before from usage_record r where r.usage_record_id = id for update;
    if before.outcome <> 'lost' then
        return true;
    end if;
    spent := model_call_cost(input, least(cached, input), output, before.input_price, before.cached_input_price, before.output_price);
    perform from budget_tally t
    join budgets_applying(before.person_id, array[before.runtime_id], array[before.key_id], before.model) b on b.budget_id = t.budget_id
    where t.person_id is null or t.person_id = before.person_id
    order by t.tally_id for no key update of t;
    update budget_tally t
    set settled = t.settled + case t.unit
            when 'tokens' then input + output - before.input_tokens - before.output_tokens
            when 'money' then spent - before.cost
            else 0 end
    from budgets_applying(before.person_id, array[before.runtime_id], array[before.key_id], before.model) b
    where t.budget_id = b.budget_id and (t.person_id is null or t.person_id = before.person_id)
      and t.window_start <= before.at and t.window_end > before.at;
    update usage_record r
    set input_tokens = input, cached_input_tokens = least(cached, input), output_tokens = output, cost = spent,
        latency_ms = took_ms, first_token_ms = first_ms, outcome = ended, estimated = is_estimated
    where r.usage_record_id = id;
    return true;
end
$$;

-- As settle_model_call, for calls whose reservations are there; answers which are settled. The others are to be looked at one by one.
--
-- The commit does not wait for the disk, since nobody else may count in the same tallies while it would: whoever calls this flushes afterwards
-- (flush_settled), and takes a call for settled only then.
create or replace function settle_model_calls(
    ids uuid[], inputs bigint[], cacheds bigint[], outputs bigint[], took_ms bigint[], first_ms bigint[], ended text[], are_estimated boolean[]
) returns setof uuid language plpgsql as
$$
declare
    held reservation[];
begin
    perform set_config('synchronous_commit', 'off', true);
    -- What follows is dear for one.
    if cardinality(ids) = 1 then
        if settle_model_call(ids[1], inputs[1], cacheds[1], outputs[1], took_ms[1], first_ms[1], ended[1], are_estimated[1]) then
            return next ids[1];
        end if;
        return;
    end if;

    perform from reservation r where r.reservation_id = any(ids) order by r.reservation_id for update;
    with gone as (delete from reservation r where r.reservation_id = any(ids) returning r.*)
    select array_agg(gone::reservation) into held from gone;
    if held is null then
        return;
    end if;

    perform from budget_tally t
    where t.tally_id in (select unnest(h.tallies) from unnest(held) h)
    order by t.tally_id for no key update;

    with ended_call as (
        select h.*, c.input, least(c.cached, c.input) as cached, c.output, c.took, c.first, c.outcome, c.is_estimated,
               model_call_cost(c.input, least(c.cached, c.input), c.output, h.input_price, h.cached_input_price, h.output_price) as spent
        from unnest(held) h
        join unnest(ids, inputs, cacheds, outputs, took_ms, first_ms, ended, are_estimated)
            as c (id, input, cached, output, took, first, outcome, is_estimated) on c.id = h.reservation_id
    ), recorded as (
        insert into usage_record (usage_record_id, at, person_id, runtime_id, key_id, model, route, input_tokens, cached_input_tokens,
                                  output_tokens, input_price, cached_input_price, output_price, cost, latency_ms, first_token_ms,
                                  outcome, estimated)
        select e.reservation_id, e.created_at, e.person_id, e.runtime_id, e.key_id, e.model, e.route, e.input, e.cached,
               e.output, e.input_price, e.cached_input_price, e.output_price, e.spent, e.took, e.first, e.outcome, e.is_estimated
        from ended_call e
    ), counted as (
        select c.tally, c.began, count(*) as calls, sum(e.tokens)::bigint as held_tokens, sum(e.micros)::bigint as held_micros,
               sum(e.input + e.output)::bigint as tokens, sum(e.spent)::bigint as micros
        from ended_call e
        cross join lateral unnest(e.tallies, e.tally_starts) c (tally, began)
        group by c.tally, c.began
    )
    update budget_tally t
    set reserved = t.reserved - case t.unit when 'tokens' then c.held_tokens when 'money' then c.held_micros else c.calls end,
        settled = t.settled + case t.unit when 'tokens' then c.tokens when 'money' then c.micros when 'requests' then c.calls else 0 end
    from counted c
    where t.tally_id = c.tally and t.window_start = c.began;

    return query select h.reservation_id from unnest(held) h;
end
$$;
