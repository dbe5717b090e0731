-- Providers, the catalog, keys, limits, reservations and usage. Money is bigint micro-units of a US dollar.

create table provider (
    provider_id   uuid primary key,
    kind          text not null check (kind in ('demo', 'local', 'open_ai', 'anthropic', 'open_router', 'ollama', 'open_ai_compatible')),
    name          text not null,
    base_url      text,
    -- XChaCha20-Poly1305, key id and row id as associated data; opened in model/ only
    secret_sealed bytea,
    secret_key_id text,
    -- the last characters, to tell keys apart
    secret_hint   text,
    created_at    timestamptz not null default now()
);
create unique index provider_name_key on provider (lower(name));

create table model (
    model_id       uuid primary key,
    provider_id    uuid not null references provider on delete cascade,
    name           text not null constraint model_name_key unique,
    upstream       text not null,
    description    text not null default '',
    context_tokens bigint not null check (context_tokens > 0),
    output_tokens  bigint not null check (output_tokens > 0),
    -- micro-units a million tokens; all three or none; none: refused until an administrator prices it (0 is free)
    input_price        bigint check (input_price >= 0),
    cached_input_price bigint check (cached_input_price >= 0),
    output_price       bigint check (output_price >= 0),
    published      boolean not null default false,
    is_default     boolean not null default false,
    created_at     timestamptz not null default now(),
    constraint model_price_whole check (num_nulls(input_price, cached_input_price, output_price) in (0, 3))
);
create unique index model_default_key on model (is_default) where is_default;

create table model_key (
    key_id       uuid primary key,
    person_id    uuid not null references person on delete cascade,
    -- a runtime's own key; none for a person's
    runtime_id   uuid references runtime on delete cascade,
    name         text not null,
    -- the part that may be known: found by it, told apart by it
    public_id    text not null constraint model_key_public_id_key unique,
    -- SHA-256 of the secret part
    secret_hash  bytea not null,
    created_at   timestamptz not null default now(),
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz
);
create index model_key_person_idx on model_key (person_id);
create unique index model_key_runtime_key on model_key (runtime_id) where runtime_id is not null and revoked_at is null;

create table budget (
    budget_id   uuid primary key,
    -- none: everyone's default, counted for each person apart
    person_id   uuid references person on delete cascade,
    time_window text not null check (time_window in ('day', 'month', 'total')),
    unit        text not null check (unit in ('money', 'tokens')),
    amount      bigint not null check (amount >= 0),
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint budget_scope_key unique nulls not distinct (person_id, time_window, unit)
);

-- How much of a limit is gone, per person and window: settled + reserved <= amount is judged in the statement that takes.
-- Counted for every person, window and unit, limit or not, so that a limit set later knows what was used before.
create table budget_usage (
    person_id    uuid not null references person on delete cascade,
    time_window  text not null check (time_window in ('day', 'month', 'total')),
    unit         text not null check (unit in ('money', 'tokens')),
    -- beginning of the window in the person's time zone; -infinity for total
    window_start timestamptz not null,
    settled      bigint not null default 0,
    reserved     bigint not null default 0 check (reserved >= 0),
    primary key (person_id, time_window, unit, window_start)
);

-- What a call in progress holds. Its lease ends when its server is gone; then it is settled from what is known.
create table reservation (
    reservation_id uuid primary key,
    person_id      uuid not null references person on delete cascade,
    runtime_id     uuid references runtime on delete set null,
    key_id         uuid references model_key on delete set null,
    model          text not null,
    tokens         bigint not null,
    micros         bigint not null,
    -- the windows it was counted in
    day_start      timestamptz not null,
    month_start    timestamptz not null,
    created_at     timestamptz not null default now(),
    lease_until    timestamptz not null
);
create index reservation_lease_idx on reservation (lease_until);

-- One record a call, never a prompt. The price is copied, so that history does not change.
create table usage_record (
    usage_record_id     uuid primary key,
    at                  timestamptz not null default now(),
    person_id           uuid not null references person,
    runtime_id          uuid references runtime on delete set null,
    key_id              uuid references model_key on delete set null,
    model               text not null,
    route               text not null,
    input_tokens        bigint not null default 0,
    cached_input_tokens bigint not null default 0,
    output_tokens       bigint not null default 0,
    input_price         bigint not null default 0,
    cached_input_price  bigint not null default 0,
    output_price        bigint not null default 0,
    cost                bigint not null default 0,
    latency_ms          bigint not null default 0,
    first_token_ms      bigint,
    -- done: the stream ended well; hung_up: the caller went; failed: the upstream did; refused: a limit; lost: our server died
    outcome             text not null check (outcome in ('done', 'hung_up', 'failed', 'refused', 'lost')),
    -- whether the counts are the upstream's own or an estimate
    estimated           boolean not null default false
);
create index usage_record_person_idx on usage_record (person_id, at);
create index usage_record_at_idx on usage_record (at);
