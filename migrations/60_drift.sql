-- What a look at a container found beside its wish. Both end with the wish they were seen under.
alter table runtime
    -- what was changed by hand and is being put right, in words; its line in the audit log is written in the same transaction
    add column changed text,
    -- what only the next start brings, in words: a running container is never restarted for the platform's sake
    add column restart_brings text;
