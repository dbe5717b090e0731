-- A model is published to everyone or to some groups. One whose groups are all gone is for nobody: what was kept from most is not given to all.

alter table model add column for_everyone boolean not null default true;

create table model_group (
    model_id uuid not null references model on delete cascade,
    group_id uuid not null references person_group on delete cascade,
    primary key (model_id, group_id)
);

-- Whether a person is among those that a model is published to.
create function model_is_for(wanted uuid, who uuid) returns boolean language sql stable as
$$
    select exists (
        select from model
        where model_id = wanted
          and (for_everyone or exists (select from model_group join person_group_member using (group_id)
                                       where model_group.model_id = wanted and person_id = who))
    )
$$;

-- The models that a runtime may call: those of its profile that are published to its person.
create function runtime_models(who uuid, profile uuid) returns uuid[] language sql stable as
$$
    select array(
        select model_id from model
        where model_is_for(model_id, who)
          and (p.all_models or exists (select from profile_model m where m.profile_id = p.profile_id and m.model_id = model.model_id))
        order by model_id
    )
    from profile p where p.profile_id = profile
$$;
