-- Who is before whom is asked by everybody who waits.
create index runtime_queue on runtime (queued_at, runtime_id) where queued_at is not null and deleted_at is null;
