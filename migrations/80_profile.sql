-- Profiles: what a runtime may be and use. Quotas: what all runtimes of a person may use together. Workspaces: what they hold on disk.

create table profile (
    profile_id       uuid primary key,
    name             text not null,
    description      text not null default '',
    -- none: the installation's
    image            text,
    memory_bytes     bigint not null check (memory_bytes > 0),
    cpu_millis       bigint not null check (cpu_millis > 0),
    pids             bigint not null check (pids > 0),
    -- what a workspace may grow to: measured, and asked at each start
    workspace_bytes  bigint not null check (workspace_bytes > 0),
    -- otherwise those in profile_model
    all_models       boolean not null default true,
    gpu              boolean not null default false,
    -- runsc, kata-runtime; none: the engine's default
    oci_runtime      text,
    -- the first that is offered is the one that new runtimes take
    position         bigint not null default 0,
    offered          boolean not null default true,
    -- takes memory, processor and processes from the server's settings at each start, until an administrator changes it
    follows_settings boolean not null default false,
    created_at       timestamptz not null default now()
);
create unique index profile_name_key on profile (lower(name));

create table profile_model (
    profile_id uuid not null references profile on delete cascade,
    model_id   uuid not null references model on delete cascade,
    primary key (profile_id, model_id)
);

insert into profile (profile_id, name, description, memory_bytes, cpu_millis, pids, workspace_bytes, follows_settings)
values (gen_random_uuid(), 'Standard', 'Enough for one agent at work.', 2147483648, 2000, 512, 10737418240, true);

-- A runtime keeps what it was given: its container is compared with that, and its next start takes what its profile gives then.
alter table runtime
    add column profile_id      uuid references profile,
    add column workspace_bytes bigint not null default 10737418240,
    add column gpu             boolean not null default false,
    add column oci_runtime     text,
    -- the memory that is held for it since its admission: what it was given may be more by now, and then it waits its turn again
    add column held_bytes      bigint not null default 0;
update runtime set profile_id = (select profile_id from profile), held_bytes = case when admitted_at is null then 0 else memory_bytes end;
alter table runtime
    alter column profile_id set not null,
    alter column workspace_bytes drop default;
create index runtime_profile_idx on runtime (profile_id);
create index runtime_person_idx on runtime (person_id) where deleted_at is null;

-- A person's own values; none: everyone's, which are the server's settings.
create table quota (
    person_id       uuid primary key references person on delete cascade,
    runtimes        bigint check (runtimes >= 0),
    memory_bytes    bigint check (memory_bytes >= 0),
    cpu_millis      bigint check (cpu_millis >= 0),
    workspace_bytes bigint check (workspace_bytes >= 0)
);

-- Every workspace that exists, with a runtime or without.
create table workspace (
    volume      text primary key,
    person_id   uuid not null references person,
    -- what it held when it was last measured
    bytes       bigint,
    measured_at timestamptz
);
create index workspace_person_idx on workspace (person_id);
insert into workspace (volume, person_id)
select distinct on (volume) volume, person_id from runtime
where deleted_at is null
   or not exists (select from runtime wiped
                  where wiped.volume = runtime.volume and wiped.deleted_at is not null and wiped.retention = 'wipe_workspace')
order by volume, created_at desc;
