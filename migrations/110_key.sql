-- A key keeps its name, its models and its usage when it is rotated: what changes is its secret. The one before works on for as long as was chosen.

create table model_key_secret (
    secret_id    uuid primary key,
    key_id       uuid not null references model_key on delete cascade,
    -- the part that may be known: told apart by it
    public_id    text not null constraint model_key_secret_public_id_key unique,
    -- SHA-256 of the secret part: a key is found by it, so that one whose secret is not here costs the same time whatever else it says
    secret_hash  bytea not null constraint model_key_secret_hash_key unique,
    created_at   timestamptz not null default now(),
    -- to the minute
    last_used_at timestamptz,
    -- none for the newest; the others were replaced, and work until then
    ends_at      timestamptz
);
create unique index model_key_secret_newest_key on model_key_secret (key_id) where ends_at is null;
create index model_key_secret_key_idx on model_key_secret (key_id);

insert into model_key_secret (secret_id, key_id, public_id, secret_hash, created_at, last_used_at)
select gen_random_uuid(), key_id, public_id, secret_hash, created_at, last_used_at from model_key;

alter table model_key
    drop column public_id,
    drop column secret_hash,
    drop column last_used_at,
    -- otherwise those of model_key_model, which may be none
    add column all_models boolean not null default true;

create table model_key_model (
    key_id   uuid not null references model_key on delete cascade,
    model_id uuid not null references model on delete cascade,
    primary key (key_id, model_id)
);

-- Which key of the present container: grows when it is rotated.
alter table runtime add column key_number bigint not null default 0;
