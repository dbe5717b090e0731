-- What the page expects and when a deadline is missed is learned for each way a runtime moves, not for starts alone.
alter table start_history rename to transition_history;
alter table transition_history rename column start_history_id to transition_history_id;
alter table transition_history add column transition text not null default 'start'
    check (transition in ('start', 'wake', 'stop', 'delete'));
alter table transition_history alter column transition drop default;
drop index start_history_image_idx;
create index transition_history_idx on transition_history (transition, image, at desc);
