-- Groups of persons: a model may be published to some of them only, and a limit may stand for all of a group together.

-- Called person_group, since "group" is a word of SQL.
create table person_group (
    group_id   uuid primary key,
    name       text not null,
    created_at timestamptz not null default now()
);
create unique index person_group_name_key on person_group (lower(name));

create table person_group_member (
    group_id  uuid not null references person_group on delete cascade,
    person_id uuid not null references person on delete cascade,
    primary key (group_id, person_id)
);
create index person_group_member_person on person_group_member (person_id);
