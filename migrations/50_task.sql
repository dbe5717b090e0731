-- Tasks: every wish can be followed until it is fulfilled, given up, or overtaken by a newer one.
create table task (
    task_id    uuid primary key,
    runtime_id uuid not null references runtime on delete cascade,
    -- who asked; none when the platform did
    person_id  uuid references person on delete set null,
    kind       text not null check (kind in ('create', 'start', 'stop', 'restart', 'delete', 'change_profile')),
    status     text not null check (status in ('accepted', 'running', 'succeeded', 'failed', 'superseded')),
    -- the wish that it stands for: notes of an older generation never touch it
    generation bigint not null,
    -- what became of it, in words for people; empty while it runs
    message    text not null default '',
    created_at timestamptz not null,
    ended_at   timestamptz,
    check ((ended_at is null) = (status in ('accepted', 'running')))
);
-- A runtime has one task that is not ended, at most.
create unique index task_open_key on task (runtime_id) where ended_at is null;
create index task_runtime_idx on task (runtime_id, created_at desc);

-- The start queue: a runtime holds its memory from its admission until its container is gone.
alter table runtime
    add column queued_at   timestamptz,
    add column admitted_at timestamptz,
    drop constraint runtime_phase_check,
    add constraint runtime_phase_check check (phase in
        ('stopped', 'pending', 'queued', 'creating', 'starting', 'waiting', 'ready', 'stopping', 'deleting', 'retrying', 'failed', 'deleted'));
-- What runs when this is applied holds its memory already.
update runtime set admitted_at = now() where deleted_at is null and phase not in ('stopped', 'pending', 'failed', 'deleted');
