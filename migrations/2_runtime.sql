-- Runtimes: the wish (desired_state, generation) and what the reconciler saw last (phase, problem).

create table runtime (
    runtime_id      uuid primary key,
    person_id       uuid not null references person,
    name            text not null,
    -- first label of its host name; unique while the runtime lives
    host_label      text not null,
    desired_state   text not null check (desired_state in ('running', 'stopped', 'deleted')),
    retention       text check (retention in ('preserve_workspace', 'wipe_workspace')),
    -- grows with every wish; a phase is written only for the generation it was seen under
    generation      bigint not null default 1,
    -- grows when a new container is asked for (restart, new key): part of the container's labels
    revision        bigint not null default 1,
    phase           text not null default 'stopped' check (phase in
                        ('stopped', 'pending', 'creating', 'starting', 'waiting', 'ready', 'stopping', 'deleting', 'retrying', 'failed', 'deleted')),
    phase_since     timestamptz not null default now(),
    -- contract::Problem
    problem         jsonb,
    -- failed tries since the last wish or the last long good run, and when the next may begin
    attempts        int not null default 0,
    retry_at        timestamptz,
    memory_bytes    bigint not null,
    cpu_millis      bigint not null,
    pids            bigint not null,
    image           text not null,
    -- name of the volume: outlives the runtime when the workspace is kept
    volume          text not null,
    wished_at       timestamptz not null default now(),
    created_at      timestamptz not null default now(),
    deleted_at      timestamptz
);
create unique index runtime_person_name_key on runtime (person_id, lower(name)) where deleted_at is null;
create unique index runtime_host_label_key on runtime (host_label) where deleted_at is null;

-- The steps of the present start, for the page.
create table runtime_step (
    runtime_id uuid not null references runtime on delete cascade,
    step       text not null check (step in ('place', 'create', 'start', 'wait')),
    began_at   timestamptz not null,
    ended_at   timestamptz,
    primary key (runtime_id, step)
);

-- How long starts took on this machine: the expected time and the deadline are learned from it.
create table start_history (
    start_history_id bigint generated always as identity primary key,
    image            text not null,
    took_ms          bigint not null,
    at               timestamptz not null default now()
);
create index start_history_image_idx on start_history (image, at desc);

-- One-use tickets carry the session to a runtime's own host.
create table ticket (
    token_hash bytea primary key,
    session_id uuid not null references session on delete cascade,
    runtime_id uuid not null references runtime on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);

-- What a used ticket became: a cookie on that host alone. It ends with its session.
create table runtime_session (
    token_hash bytea primary key,
    session_id uuid not null references session on delete cascade,
    runtime_id uuid not null references runtime on delete cascade,
    created_at timestamptz not null default now()
);
create index runtime_session_session_idx on runtime_session (session_id);
