-- Slices: a part of what is left of the limits, held by one server for the calls of one key and model, which draw from it without asking here.
--
-- A slice is a reservation as any other, judged and counted in the same tallies by the same function. So what its calls may use at most is held before any
-- of them is sent, and whoever judges another call sees it. It lies within one minute, and every window begins with a minute: so all its calls lie in
-- the windows that it was counted in.

alter table reservation
    add column is_slice boolean not null default false,
    -- how many calls it counts as
    add column calls    bigint  not null default 1 check (calls >= 0);
-- Of a slice whose server died there is one record, which counts as what it held.
alter table usage_record add column calls bigint not null default 1;

create or replace view usage_entry as
select at, person_id, runtime_id, key_id, model, route, outcome, calls, input_tokens, cached_input_tokens, output_tokens, cost
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
            returning h.tokens, h.micros, h.calls
        )
        select coalesce(sum(held.tokens), 0), coalesce(sum(held.micros), 0), coalesce(sum(held.calls), 0)
        into held_tokens, held_micros, held_calls from held;
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
        -- Of a slice nobody knows which tokens it was for: it counts as all that it held.
        spent := case when held.is_slice then held.micros
            else model_call_cost(input, least(cached, input), output, held.input_price, held.cached_input_price, held.output_price) end;
        if cardinality(held.tallies) > 0 then
            perform from budget_tally t where t.tally_id = any(held.tallies) order by t.tally_id for no key update;
            update budget_tally t
            set reserved = t.reserved - case t.unit when 'tokens' then held.tokens when 'money' then held.micros else held.calls end,
                settled = t.settled + case t.unit when 'tokens' then input + output when 'money' then spent when 'requests' then held.calls else 0 end
            from unnest(held.tallies, held.tally_starts) c (tally, began)
            where t.tally_id = c.tally and t.window_start = c.began;
        end if;
        insert into usage_record (usage_record_id, at, person_id, runtime_id, key_id, model, route, input_tokens, cached_input_tokens,
                                  output_tokens, input_price, cached_input_price, output_price, cost, latency_ms, first_token_ms,
                                  outcome, estimated, calls)
        values (id, held.created_at, held.person_id, held.runtime_id, held.key_id, held.model, held.route, input, least(cached, input),
                output, held.input_price, held.cached_input_price, held.output_price, spent, took_ms, first_ms, ended, is_estimated,
                held.calls);
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

-- Takes a slice for calls that hold `worst_input` and `worst_output` each: as much as up to `cases` of them hold at once, for up to `most` calls one after
-- another. Of no limit more than a sixteenth of what is left, and none that would leave less than a quarter of it: the end of a limit is for calls that
-- are judged one by one. Nothing is taken, and nothing answered, where that is too little to be of use, where calls at once are limited, where a limit is
-- not counted yet or is counted in a later window (another server's clock), and where a runtime's chat is to be told of one.
create function take_slice(
    slice uuid, who uuid, runtime uuid, key uuid, called text, via text, at timestamptz, lease timestamptz,
    worst_input bigint, worst_output bigint, cases bigint, most bigint,
    input_price bigint, cached_price bigint, output_price bigint
) returns table (taken_calls bigint, taken_tokens bigint, taken_micros bigint, limited boolean) language plpgsql as
$$
#variable_conflict use_variable
declare
    dear_input   bigint := greatest(input_price, cached_price);
    worst_tokens bigint := worst_input + worst_output;
    worst_micros bigint := model_call_cost(worst_input, 0, worst_output, dear_input, 0, output_price);
    ids          uuid[];
    opened       boolean;
    line         record;
    is_present   boolean;
    gone         bigint;
    amount       bigint;
    rest         bigint;
    granted      bigint;
begin
    -- Whoever calls this flushes before a call draws from it (flush_settled).
    perform set_config('synchronous_commit', 'off', true);
    perform pg_advisory_xact_lock_shared(42, 0);
    select array_agg(b.budget_id),
           bool_and(exists (select from budget_tally t where t.budget_id = b.budget_id and (t.person_id is null or t.person_id = who)))
    into ids, opened
    from budgets_applying(who, array[runtime], array[key], called) b;
    if not opened then
        return;
    end if;
    -- Locked as reserve_model_call will: so what it judges below is what was measured here.
    for line in
        select b.time_window, b.unit, b.amount, t.window_start, t.window_end, t.settled, t.reserved, t.extra, t.warned
        from budget_tally t join budget b on b.budget_id = t.budget_id
        where t.budget_id = any(ids) and (t.person_id is null or t.person_id = who)
        order by t.tally_id for no key update of t
    loop
        if line.unit = 'concurrency' or line.window_start > at then
            return;
        end if;
        is_present := line.window_end > at;
        gone := case when is_present then line.settled + line.reserved else 0 end;
        amount := line.amount + case when is_present then line.extra else 0 end;
        rest := least((amount - gone) / 16, amount - amount / 4 - gone);
        case line.unit
            when 'requests' then most := least(most, rest);
            when 'tokens' then cases := least(cases, rest / greatest(worst_tokens, 1));
            else
                if worst_micros > 0 then
                    cases := least(cases, rest / worst_micros);
                end if;
        end case;
        if runtime is not null and is_present and amount > 0 and line.time_window not in ('minute', 'hour')
            and line.warned < (case when line.settled::numeric * 100 >= amount::numeric * 85 then 85
                                    when line.settled::numeric * 100 >= amount::numeric * 50 then 50 else 0 end)
        then
            return;
        end if;
    end loop;
    if cases < 2 or most < 2 then
        return;
    end if;

    select r.granted, r.limited into granted, limited
    from reserve_model_call(slice, who, runtime, key, called, via, at, lease, worst_input * cases, worst_output * cases, worst_output * cases, 1,
                            input_price, cached_price, output_price, false, false) r;
    if granted is null then
        return;
    end if;
    update reservation r set is_slice = true, calls = most where r.reservation_id = slice
    returning r.calls, r.tokens, r.micros into taken_calls, taken_tokens, taken_micros;
    -- It was counted as one call.
    update budget_tally t set reserved = t.reserved + most - 1
    from reservation r
    where r.reservation_id = slice and t.tally_id = any(r.tallies) and t.unit = 'requests';
    return next;
end
$$;

-- Records calls that drew from a slice, counts what they used, and lowers what the slice holds to what its server still answers for: `left_`. Nothing left
-- is the end of it. False where nothing is known of the slice.
--
-- Done twice it is done once: what is left is said and not what goes, and a call that is recorded is not counted again.
create function settle_slice(
    slice uuid, left_calls bigint, left_tokens bigint, left_micros bigint,
    ids uuid[], came timestamptz[], inputs bigint[], cacheds bigint[], outputs bigint[], took_ms bigint[], first_ms bigint[], ended text[],
    are_estimated boolean[]
) returns boolean language plpgsql as
$$
#variable_conflict use_variable
declare
    held       reservation;
    before     usage_record;
    is_lost    boolean;
    new_calls  bigint;
    new_tokens bigint;
    new_micros bigint;
begin
    -- As settle_model_calls: whoever calls this flushes afterwards.
    perform set_config('synchronous_commit', 'off', true);
    select r.* into held from reservation r where r.reservation_id = slice for update;
    is_lost := not found;
    if is_lost then
        -- Written off as lost while its server stood still, it counts as all that it held. As in settle_model_call.
        perform pg_advisory_xact_lock(42, 1);
        select r.* into before from usage_record r where r.usage_record_id = slice for update;
        if not found then
            return false;
        end if;
        held.person_id := before.person_id;
        held.runtime_id := before.runtime_id;
        held.key_id := before.key_id;
        held.model := before.model;
        held.route := before.route;
        held.input_price := before.input_price;
        held.cached_input_price := before.cached_input_price;
        held.output_price := before.output_price;
        held.calls := before.calls;
        held.output_tokens := before.output_tokens;
        held.tokens := before.input_tokens + before.output_tokens;
        held.micros := before.cost;
        perform from budget_tally t
        join budgets_applying(held.person_id, array[held.runtime_id], array[held.key_id], held.model) b on b.budget_id = t.budget_id
        where t.person_id is null or t.person_id = held.person_id
        order by t.tally_id for no key update of t;
    else
        perform from budget_tally t where t.tally_id = any(held.tallies) order by t.tally_id for no key update;
    end if;
    left_calls := least(left_calls, held.calls);
    left_tokens := least(left_tokens, held.tokens);
    left_micros := least(left_micros, held.micros);

    with recorded as (
        insert into usage_record (usage_record_id, at, person_id, runtime_id, key_id, model, route, input_tokens, cached_input_tokens,
                                  output_tokens, input_price, cached_input_price, output_price, cost, latency_ms, first_token_ms,
                                  outcome, estimated)
        select c.id, c.at, held.person_id, held.runtime_id, held.key_id, held.model, held.route, c.input, least(c.cached, c.input), c.output,
               held.input_price, held.cached_input_price, held.output_price,
               model_call_cost(c.input, least(c.cached, c.input), c.output, held.input_price, held.cached_input_price, held.output_price),
               c.took, c.first, c.outcome, c.is_estimated
        from unnest(ids, came, inputs, cacheds, outputs, took_ms, first_ms, ended, are_estimated)
            as c (id, at, input, cached, output, took, first, outcome, is_estimated)
        on conflict (usage_record_id) do nothing
        returning input_tokens + output_tokens as tokens, cost
    )
    select count(*), coalesce(sum(r.tokens), 0), coalesce(sum(r.cost), 0) into new_calls, new_tokens, new_micros from recorded r;

    if is_lost then
        update budget_tally t
        set settled = t.settled + case t.unit
                when 'tokens' then new_tokens - held.tokens + left_tokens
                when 'money' then new_micros - held.micros + left_micros
                when 'requests' then new_calls - held.calls + left_calls
                else 0 end
        from budgets_applying(held.person_id, array[held.runtime_id], array[held.key_id], held.model) b
        where t.budget_id = b.budget_id and (t.person_id is null or t.person_id = held.person_id)
          and t.window_start <= before.at and t.window_end > before.at;
        if left_calls = 0 then
            delete from usage_record r where r.usage_record_id = slice;
        else
            update usage_record r
            set calls = left_calls, cost = left_micros, output_tokens = least(held.output_tokens, left_tokens),
                input_tokens = left_tokens - least(held.output_tokens, left_tokens)
            where r.usage_record_id = slice;
        end if;
        return true;
    end if;

    update budget_tally t
    set reserved = t.reserved - case t.unit
            when 'tokens' then held.tokens - left_tokens when 'money' then held.micros - left_micros else held.calls - left_calls end,
        settled = t.settled + case t.unit when 'tokens' then new_tokens when 'money' then new_micros when 'requests' then new_calls else 0 end
    from unnest(held.tallies, held.tally_starts) c (tally, began)
    where t.tally_id = c.tally and t.window_start = c.began;
    if left_calls = 0 then
        delete from reservation r where r.reservation_id = slice;
    else
        update reservation r
        set calls = left_calls, tokens = left_tokens, micros = left_micros, output_tokens = least(held.output_tokens, left_tokens),
            input_tokens = left_tokens - least(held.output_tokens, left_tokens)
        where r.reservation_id = slice;
    end if;
    return true;
end
$$;
