-- What is remembered of a runtime's container, so that the work of a hand, and of its machine, is told from our own.
alter table runtime
    -- SHA-256 of the configuration that was written last; none while one is being written
    add column configuration_hash text,
    -- the life of the machine and the engine in which its container was started, or last seen to run
    add column ran_in text;
