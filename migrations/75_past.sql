-- What a runtime went through, whatever was wished since: neither ends with the wish that it was seen under.
alter table runtime
    -- how often a try that failed was followed by another one
    add column restarts      bigint not null default 0,
    -- why the last try failed that did, in words
    add column last_error    text,
    add column last_error_at timestamptz;
