-- A runtime that its owner lets another person use, for a time. The newest row of a pair is the one in force; earlier ones are kept as they ended.
create table runtime_share (
    share_id   uuid primary key,
    runtime_id uuid not null references runtime on delete cascade,
    person_id  uuid not null references person on delete cascade,
    -- watch: sees what happens and changes nothing; full: all that the owner may do inside
    access     text not null check (access in ('watch', 'full')),
    created_at timestamptz not null,
    ends_at    timestamptz not null check (ends_at > created_at),
    -- taken back by the owner or an administrator, given up by the person, or replaced
    revoked_at timestamptz
);
create unique index runtime_share_pair_key on runtime_share (runtime_id, person_id) where revoked_at is null;
create index runtime_share_person_idx on runtime_share (person_id) where revoked_at is null;
