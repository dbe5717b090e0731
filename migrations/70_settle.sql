-- Settling many calls at once: one round trip and one disk flush for all that ended in the meantime.

-- As settle_model_call, for calls whose reservations are there; answers which are settled. The others are to be looked at one by one.
--
-- The commit does not wait for the disk, since nobody else may count for the person while it would: whoever calls this flushes afterwards
-- (flush_settled), and takes a call for settled only then.
create function settle_model_calls(
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

    with gone as (delete from reservation r where r.reservation_id = any(ids) returning r.*)
    select array_agg(gone::reservation) into held from gone;
    if held is null then
        return;
    end if;

    -- In one order for all servers, so that two of them never wait for each other.
    perform lock_budget_usage(p.person_id)
    from (select distinct h.person_id, hashtext(h.person_id::text) as lock from unnest(held) h order by lock) p;

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
        select e.person_id, w.name, w.began, sum(e.tokens)::bigint as held_tokens, sum(e.micros)::bigint as held_micros,
               sum(e.input + e.output)::bigint as tokens, sum(e.spent)::bigint as micros
        from ended_call e
        cross join lateral (values ('day', e.day_start), ('month', e.month_start), ('total', '-infinity'::timestamptz)) w (name, began)
        group by e.person_id, w.name, w.began
    )
    update budget_usage u
    set reserved = u.reserved - case u.unit when 'tokens' then c.held_tokens else c.held_micros end,
        settled = u.settled + case u.unit when 'tokens' then c.tokens else c.micros end
    from counted c
    where u.person_id = c.person_id and u.time_window = c.name and u.window_start = c.began;

    return query select h.reservation_id from unnest(held) h;
end
$$;

-- Returns when all that was committed before is on the disk.
create function flush_settled() returns void language sql as
$$
    -- A commit is flushed only where it has something to write, and this is the least that can be written.
    select pg_logical_emit_message(true, 'clawloops', '')
$$;
