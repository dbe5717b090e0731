-- Reserving and settling a model call, one round trip each: the judgement and what it counts stand in one place and under one lock.

-- What a reservation must know to be settled without the server that made it.
alter table reservation
    add column route              text   not null default '',
    add column input_tokens       bigint not null default 0,
    add column output_tokens      bigint not null default 0,
    add column input_price        bigint not null default 0,
    add column cached_input_price bigint not null default 0,
    add column output_price       bigint not null default 0;

-- Micro-units, rounded up: a fraction is never given away.
create function model_call_cost(input bigint, cached bigint, output bigint, input_price bigint, cached_price bigint, output_price bigint)
    returns bigint language sql immutable parallel safe as
$$
    select ceil(((input - cached)::numeric * input_price + cached::numeric * cached_price + output::numeric * output_price) / 1000000)::bigint
$$;

-- Counting for one person happens one call after another. The lock, and not the rows, is what waits: so there is no order to keep and no deadlock.
create function lock_budget_usage(who uuid) returns void language sql as
$$
    select pg_advisory_xact_lock(41, hashtext(who::text))
$$;

-- Holds the worst case of a call against every limit that applies. What is left decides how long the answer may be: `granted` output tokens an
-- answer, at most `wanted`. Fewer than `least` are no answer: then nothing is held, `granted` is null, and the limit that refused is named,
-- the one that returns last where there are several. `forced` holds without judging.
create function reserve_model_call(
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
    month_from  timestamptz;
    dear_input  bigint := greatest(input_price, cached_price);
    line        record;
    fits        bigint;
    present     int;
begin
    -- A reservation lost with PostgreSQL's last moments is a call that is settled anew; it must not cost each call a disk flush.
    perform set_config('synchronous_commit', 'off', true);
    perform lock_budget_usage(who);
    select person.time_zone into strict zone from person where person.person_id = who;
    day_from := date_trunc('day', at, zone);
    month_from := date_trunc('month', at, zone);

    select count(*) into present from budget_usage u
    where u.person_id = who
      and (u.time_window, u.window_start) in (('day', day_from), ('month', month_from), ('total', '-infinity'));
    if present < 6 then
        -- A window begins with what its records say, so that a changed time zone gives nobody a fresh limit.
        insert into budget_usage (person_id, time_window, unit, window_start, settled)
        select who, w.name, u.name, w.began,
               (select coalesce(sum(case u.name when 'money' then r.cost else r.input_tokens + r.output_tokens end), 0)::bigint
                from usage_record r where r.person_id = who and r.at >= w.began)
        from (values ('day', day_from), ('month', month_from), ('total', '-infinity'::timestamptz)) w (name, began)
        cross join (values ('money'), ('tokens')) u (name)
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
                refused_until := case line.time_window
                    when 'day' then ((day_from at time zone zone) + interval '1 day') at time zone zone
                    when 'month' then ((month_from at time zone zone) + interval '1 month') at time zone zone
                end;
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
create function settle_model_call(
    id uuid, input bigint, cached bigint, output bigint, took_ms bigint, first_ms bigint, ended text, is_estimated boolean
) returns boolean language plpgsql as
$$
#variable_conflict use_variable
declare
    held    reservation;
    before  usage_record;
    zone    text;
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
    select person.time_zone into strict zone from person where person.person_id = before.person_id;
    spent := model_call_cost(input, least(cached, input), output, before.input_price, before.cached_input_price, before.output_price);
    update budget_usage u
    set settled = u.settled + case u.unit
            when 'tokens' then input + output - before.input_tokens - before.output_tokens
            else spent - before.cost end
    where u.person_id = before.person_id
      and (u.time_window, u.window_start) in
          (('day', date_trunc('day', before.at, zone)), ('month', date_trunc('month', before.at, zone)), ('total', '-infinity'));
    update usage_record r
    set input_tokens = input, cached_input_tokens = least(cached, input), output_tokens = output, cost = spent,
        latency_ms = took_ms, first_token_ms = first_ms, outcome = ended, estimated = is_estimated
    where r.usage_record_id = id;
    return true;
end
$$;
