-- The master key is rotated while servers run. A key is named by an id that does not tell it.

-- The servers on this database, and the master keys that each holds: none is used before all have it.
create table server (
    server_id      uuid primary key,
    -- of those on its disk, the newest first
    master_key_ids text[] not null check (cardinality(master_key_ids) > 0),
    seen_at        timestamptz not null default now()
);

-- From which master key the runtime's model key is derived; none: noted when a server begins.
alter table runtime add column master_key_id text;
