-- A key's owner sets limits of their own beside an administrator's: both hold, and each belongs to who set it.

alter table budget
    add column set_by text not null default 'administrator'
        constraint budget_set_by_check check (set_by in ('administrator', 'owner')),
    add constraint budget_owner_check check (set_by = 'administrator' or key_id is not null),
    drop constraint budget_scope_key;
alter table budget
    add constraint budget_scope_key unique nulls not distinct (subject, subject_id, time_window, unit, set_by);

-- The owner's are those that a key was made with and nobody changed since. Where anybody else ever set a limit on a key of that name, all are the
-- administrator's: what is not known is closed.
update budget b
set set_by = 'owner'
from model_key k
where k.key_id = b.key_id and k.runtime_id is null
  and b.updated_at = b.created_at
  and b.created_at between k.created_at and k.created_at + interval '2 seconds'
  and not exists (
      select from audit_entry a
      where a.action like 'limit.%' and a.person_id = k.person_id and a.subject = k.name and a.actor_id is distinct from k.person_id
  );
