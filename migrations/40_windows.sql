-- The windows of a person's limits lie end to end, whatever their time zone is in between. A window keeps the end it began with; a changed time
-- zone counts from there on, and the first window in the new one is never shorter than a whole one. So nobody gets a limit twice.

alter table budget_usage add column window_end timestamptz;

update budget_usage u
set window_end = case u.time_window
        when 'day' then ((u.window_start at time zone p.time_zone) + interval '1 day') at time zone p.time_zone
        when 'month' then ((u.window_start at time zone p.time_zone) + interval '1 month') at time zone p.time_zone
        else 'infinity'
    end
from person p
where p.person_id = u.person_id;

alter table budget_usage alter column window_end set not null;

-- The window of this kind that a call at this time counts in.
create function budget_window(who uuid, kind text, at timestamptz, out window_start timestamptz, out window_end timestamptz)
    language plpgsql stable as
$$
#variable_conflict use_variable
declare
    zone  text;
    step  interval := case kind when 'day' then interval '1 day' else interval '1 month' end;
    -- What a window has at least that begins between two midnights. Months differ by days, time zones by hours: half a month tells this month's
    -- end from the next one's.
    whole interval := case kind when 'day' then interval '24 hours' else interval '336 hours' end;
    ended timestamptz;
begin
    if kind = 'total' then
        window_start := '-infinity';
        window_end := 'infinity';
        return;
    end if;
    select u.window_start, u.window_end into window_start, window_end
    from budget_usage u
    where u.person_id = who and u.time_window = kind and u.unit = 'money'
    order by u.window_start desc limit 1;
    if window_end > at then
        return;
    end if;
    ended := window_end;
    select p.time_zone into strict zone from person p where p.person_id = who;
    window_start := date_trunc(kind, at, zone);
    window_end := ((window_start at time zone zone) + step) at time zone zone;
    if ended > window_start then
        -- The last one ended after this one's midnight: it was begun in another time zone.
        window_start := ended;
        if window_end < ended + whole then
            window_end := ((window_end at time zone zone) + step) at time zone zone;
        end if;
    end if;
end
$$;

-- What a person used in a span of time, and what their calls in progress hold of it.
create function used_within(who uuid, begins timestamptz, ends timestamptz)
    returns table (unit text, settled bigint, reserved bigint) language sql stable as
$$
    with records as (
        select coalesce(sum(r.cost), 0)::bigint as money, coalesce(sum(r.input_tokens + r.output_tokens), 0)::bigint as tokens
        from usage_record r where r.person_id = who and r.at >= begins and r.at < ends
    ), held as (
        select coalesce(sum(h.micros), 0)::bigint as money, coalesce(sum(h.tokens), 0)::bigint as tokens
        from reservation h where h.person_id = who and h.created_at >= begins and h.created_at < ends
    )
    select 'money', records.money, held.money from records, held
    union all
    select 'tokens', records.tokens, held.tokens from records, held
$$;

-- Holds the worst case of a call against every limit that applies. What is left decides how long the answer may be: `granted` output tokens an
-- answer, at most `wanted`. Fewer than `least` are no answer: then nothing is held, `granted` is null, and the limit that refused is named,
-- the one that returns last where there are several. `forced` holds without judging.
create or replace function reserve_model_call(
    id uuid, who uuid, runtime uuid, key uuid, called text, via text, at timestamptz, lease timestamptz,
    input bigint, wanted bigint, least_output bigint, answers bigint,
    input_price bigint, cached_price bigint, output_price bigint, forced boolean
) returns table (
    granted bigint, limited boolean, refused_window text, refused_unit text, refused_amount bigint, refused_until timestamptz, time_zone text
) language plpgsql as
$$
#variable_conflict use_variable
declare
    zone        text;
    day_from    timestamptz;
    day_to      timestamptz;
    month_from  timestamptz;
    month_to    timestamptz;
    dear_input  bigint := greatest(input_price, cached_price);
    line        record;
    fits        bigint;
    present     int;
begin
    -- A reservation lost with PostgreSQL's last moments is a call that is settled anew; it must not cost each call a disk flush.
    perform set_config('synchronous_commit', 'off', true);
    perform lock_budget_usage(who);
    select person.time_zone into strict zone from person where person.person_id = who;
    select w.window_start, w.window_end into day_from, day_to from budget_window(who, 'day', at) w;
    select w.window_start, w.window_end into month_from, month_to from budget_window(who, 'month', at) w;
    -- Another server's clock may be ahead of ours: then this call is the first of the window that it began.
    at := greatest(at, day_from, month_from);

    select count(*) into present from budget_usage u
    where u.person_id = who
      and (u.time_window, u.window_start) in (('day', day_from), ('month', month_from), ('total', '-infinity'));
    if present < 6 then
        -- A window begins with what is known of it, so that a limit set later knows what was used before.
        insert into budget_usage (person_id, time_window, unit, window_start, window_end, settled, reserved)
        select who, w.name, used.unit, w.begins, w.ends, used.settled, used.reserved
        from (values ('day', day_from, day_to), ('month', month_from, month_to), ('total', '-infinity'::timestamptz, 'infinity'::timestamptz))
             w (name, begins, ends)
        cross join lateral used_within(who, w.begins, w.ends) used
        on conflict do nothing;
    end if;

    granted := wanted;
    limited := false;
    time_zone := zone;
    -- A person's own limit stands in place of everyone's for the same window and unit.
    for line in
        select distinct on (b.time_window, b.unit) b.time_window, b.unit, b.amount, b.amount - u.settled - u.reserved as rest
        from budget b
        join budget_usage u on u.person_id = who and u.time_window = b.time_window and u.unit = b.unit
            and u.window_start = case b.time_window when 'day' then day_from when 'month' then month_from else '-infinity' end
        where b.person_id = who or b.person_id is null
        order by b.time_window, b.unit, b.person_id nulls last
    loop
        limited := true;
        fits := case
            when line.unit = 'tokens' then floor((line.rest - input)::numeric / answers)
            -- What costs nothing needs no money.
            when input * dear_input = 0 and output_price = 0 then wanted
            when line.rest::numeric * 1000000 < input::numeric * dear_input then -1
            when output_price = 0 then wanted
            else least(wanted, floor((line.rest::numeric * 1000000 - input::numeric * dear_input) / (output_price::numeric * answers)))
        end;
        if fits < least(least_output, wanted) then
            if refused_window is null or line.time_window = 'total' or (line.time_window = 'month' and refused_window = 'day') then
                refused_window := line.time_window;
                refused_unit := line.unit;
                refused_amount := line.amount;
                refused_until := case line.time_window when 'day' then day_to when 'month' then month_to end;
            end if;
        else
            granted := least(granted, fits);
        end if;
    end loop;

    if refused_window is not null and not forced then
        granted := null;
        return next;
        return;
    end if;
    if forced then
        granted := wanted;
    end if;

    insert into reservation (reservation_id, person_id, runtime_id, key_id, model, route, tokens, micros, input_tokens, output_tokens,
                             input_price, cached_input_price, output_price, day_start, month_start, created_at, lease_until)
    values (id, who, runtime, key, called, via, input + granted * answers,
            model_call_cost(input, 0, granted * answers, dear_input, 0, output_price), input, granted * answers,
            input_price, cached_price, output_price, day_from, month_from, at, lease);
    update budget_usage u
    set reserved = u.reserved + case u.unit when 'tokens' then input + granted * answers
                                else model_call_cost(input, 0, granted * answers, dear_input, 0, output_price) end
    where u.person_id = who
      and (u.time_window, u.window_start) in (('day', day_from), ('month', month_from), ('total', '-infinity'));
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
        perform lock_budget_usage(held.person_id);
        spent := model_call_cost(input, least(cached, input), output, held.input_price, held.cached_input_price, held.output_price);
        update budget_usage u
        set reserved = u.reserved - case u.unit when 'tokens' then held.tokens else held.micros end,
            settled = u.settled + case u.unit when 'tokens' then input + output else spent end
        where u.person_id = held.person_id
          and (u.time_window, u.window_start) in (('day', held.day_start), ('month', held.month_start), ('total', '-infinity'));
        insert into usage_record (usage_record_id, at, person_id, runtime_id, key_id, model, route, input_tokens, cached_input_tokens,
                                  output_tokens, input_price, cached_input_price, output_price, cost, latency_ms, first_token_ms,
                                  outcome, estimated)
        values (id, held.created_at, held.person_id, held.runtime_id, held.key_id, held.model, held.route, input, least(cached, input),
                output, held.input_price, held.cached_input_price, held.output_price, spent, took_ms, first_ms, ended, is_estimated);
        return true;
    end if;

    select r.* into before from usage_record r where r.usage_record_id = id for update;
    if not found then
        return false;
    end if;
    if before.outcome <> 'lost' or ended = 'lost' then
        return true;
    end if;
    perform lock_budget_usage(before.person_id);
    spent := model_call_cost(input, least(cached, input), output, before.input_price, before.cached_input_price, before.output_price);
    update budget_usage u
    set settled = u.settled + case u.unit
            when 'tokens' then input + output - before.input_tokens - before.output_tokens
            else spent - before.cost end
    where u.person_id = before.person_id and u.window_start <= before.at and u.window_end > before.at;
    update usage_record r
    set input_tokens = input, cached_input_tokens = least(cached, input), output_tokens = output, cost = spent,
        latency_ms = took_ms, first_token_ms = first_ms, outcome = ended, estimated = is_estimated
    where r.usage_record_id = id;
    return true;
end
$$;
