-- Sleep: what nobody uses is frozen, later stopped, and woken by a visit or in time for its next schedule.
alter table runtime
    -- when somebody was last there: every server writes it for what it holds open
    add column used_at       timestamptz not null default now(),
    -- not asked before this whether it may sleep: it was at work, or something is about to be due
    add column awake_until   timestamptz,
    -- how deep it is to sleep; none while it is awake
    add column sleep_depth   text check (sleep_depth in ('frozen', 'stopped')),
    -- OpenClaw's word for the agreement, to be given back at waking, and until when the agreement may be used
    add column suspension_id text,
    add column agreed_until  timestamptz,
    -- the next schedule as it stood when it went to sleep, and when it is woken for that
    add column schedule_at   timestamptz,
    add column schedule_name text,
    add column wakes_at      timestamptz,
    -- when it was last woken: a start that follows counts from here
    add column woken_at      timestamptz,
    -- its owner's choice, in minutes without use; 0 is never, none is the platform's
    add column sleep_minutes int check (sleep_minutes >= 0),
    -- until when running turns may finish before it is stopped or made anew
    add column drain_until   timestamptz,
    drop constraint runtime_phase_check,
    add constraint runtime_phase_check check (phase in
        ('stopped', 'pending', 'queued', 'creating', 'starting', 'waiting', 'ready', 'asleep', 'waking', 'draining', 'stopping', 'deleting',
         'retrying', 'failed', 'deleted'));
