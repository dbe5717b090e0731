-- What is asked every few seconds while nothing happens finds in an index that there is nothing, however many rows there are.
create index workspace_measured_idx on workspace (measured_at nulls first);
create index runtime_volume_idx on runtime (volume) where deleted_at is null;
create index runtime_master_key_idx on runtime (master_key_id) where deleted_at is null;
