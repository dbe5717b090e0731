-- Requests for more of a limit.
create table budget_request (
    request_id  uuid primary key,
    budget_id   uuid not null references budget on delete cascade,
    person_id   uuid not null references person on delete cascade,
    -- how much the limit should be
    amount      bigint not null check (amount > 0),
    reason      text not null,
    asked_at    timestamptz not null,
    answer      text check (answer in ('once', 'for_good', 'declined')),
    -- the administrator's, to the person
    word        text not null default '',
    answered_by text,
    answered_at timestamptz,
    constraint budget_request_answered_check check (num_nulls(answer, answered_by, answered_at) in (0, 3))
);
create unique index budget_request_open_key on budget_request (budget_id, person_id) where answer is null;
create index budget_request_person_idx on budget_request (person_id, asked_at);

-- Lets a limit be `wanted` until its present window ends.
create function grant_budget_once(which uuid, who uuid, wanted bigint, at timestamptz) returns void language plpgsql as
$$
declare
    b budget;
    t budget_tally;
begin
    perform open_budget_tallies(who, array[which], at);
    select l.* into strict b from budget l where l.budget_id = which;
    select c.* into strict t from budget_tally c
    where c.budget_id = which and (c.person_id is null or c.person_id = who) for no key update;
    if t.window_end <= at then
        select w.window_start, w.window_end into t.window_start, t.window_end
        from next_budget_window(b.time_window, budget_zone(b, who), t.window_end, at) w;
        t.settled := 0;
        t.reserved := 0;
        t.extra := 0;
        t.warned := 0;
    end if;
    update budget_tally c
    set window_start = t.window_start, window_end = t.window_end, settled = t.settled, reserved = t.reserved, warned = t.warned,
        extra = greatest(t.extra, wanted - b.amount)
    where c.tally_id = t.tally_id;
end
$$;
