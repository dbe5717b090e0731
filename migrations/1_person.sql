-- People, the ways in, and the audit log.
-- Singular tables, `person_id` as the name of the key (joins read `using (person_id)`), ids are uuid v7 made by the server.

create table person (
    person_id     uuid primary key,
    email         text not null,
    name          text not null,
    role          text not null check (role in ('person', 'administrator')),
    status        text not null default 'active' check (status in ('active', 'disabled')),
    -- argon2id in PHC form
    password_hash text not null,
    -- IANA name; limits and charts count days in it
    time_zone     text not null default 'UTC',
    created_at    timestamptz not null default now(),
    last_seen_at  timestamptz
);

-- The database judges uniqueness: ADA@ and ada@ are one address.
create unique index person_email_key on person (lower(email));

create table session (
    session_id   uuid primary key,
    person_id    uuid not null references person on delete cascade,
    -- SHA-256 of the cookie's 256 random bits: a stolen table signs nobody in
    token_hash   bytea not null constraint session_token_hash_key unique,
    agent        text not null,
    created_at   timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    -- absolute end; the idle end is last_seen_at plus the idle time
    expires_at   timestamptz not null
);
create index session_person_idx on session (person_id);

create table setup_link (
    token_hash bytea primary key,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at    timestamptz
);

create table invitation (
    invitation_id uuid primary key,
    email         text not null,
    role          text not null check (role in ('person', 'administrator')),
    token_hash    bytea not null constraint invitation_token_hash_key unique,
    invited_by    uuid not null references person,
    created_at    timestamptz not null default now(),
    expires_at    timestamptz not null,
    consumed_at   timestamptz,
    consumed_by   uuid references person,
    revoked_at    timestamptz
);
-- One open invitation an address.
create unique index invitation_open_email_key on invitation (lower(email)) where consumed_at is null and revoked_at is null;

create table audit_entry (
    audit_entry_id uuid primary key,
    at             timestamptz not null default now(),
    -- none: ClawLoops itself
    actor_id       uuid references person on delete set null,
    actor          text not null,
    action         text not null,
    -- whom it concerns, so that a person sees what was done to them
    person_id      uuid references person on delete set null,
    subject        text not null,
    detail         text not null default ''
);
create index audit_entry_at_idx on audit_entry (at desc);
create index audit_entry_person_idx on audit_entry (person_id, at desc);

-- Facts of this installation: its id, the key check of the master key, ...
create table setting (
    name  text primary key,
    value text not null
);
