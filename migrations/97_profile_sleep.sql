-- A profile says when its runtimes sleep; none: what the server's settings say, 0: never. Its owner chooses within it.
alter table profile
    add column sleep_after_minutes      int check (sleep_after_minutes between 0 and 525600),
    add column sleep_stop_after_minutes int check (sleep_stop_after_minutes between 0 and 525600);
