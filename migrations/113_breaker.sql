-- A runtime that spends much faster than it should is paused for model calls until somebody says that it is well.
alter table runtime
    add column calls_paused_at  timestamptz,
    -- why, in words
    add column calls_paused_for text,
    -- What was spent before does not count again.
    add column calls_resumed_at timestamptz,
    add constraint runtime_calls_paused_check check (num_nulls(calls_paused_at, calls_paused_for) in (0, 2));
create index usage_record_runtime_idx on usage_record (runtime_id, at) where runtime_id is not null;
