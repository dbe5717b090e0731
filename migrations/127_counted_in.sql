-- Models that are not counted in tokens: pictures, seconds of audio, characters to be spoken. Their price is for a million of those, and a call's counts
-- stand where its tokens would.

alter table model
    add column counted_in text not null default 'tokens' check (counted_in in ('tokens', 'images', 'seconds', 'characters'));

-- What the calls of a model of this name are counted in, where that is not tokens. A name keeps it as long as calls are recorded under it, so that old
-- records and totals are read as they were meant, also when the model has left the catalog.
create table counted_model (
    name       text primary key,
    counted_in text not null check (counted_in in ('images', 'seconds', 'characters'))
);

-- Gives the calls of models of this name what they are counted in. False where others are recorded, or under way, that were counted otherwise.
create function count_model_in(called text, wanted text) returns boolean language plpgsql as
$$
begin
    if wanted = coalesce((select c.counted_in from counted_model c where c.name = called), 'tokens') then
        return true;
    end if;
    if exists (select from usage_entry e where e.model = called and e.outcome <> 'refused') or exists (select from reservation r where r.model = called) then
        return false;
    end if;
    delete from counted_model c where c.name = called;
    if wanted <> 'tokens' then
        insert into counted_model (name, counted_in) values (called, wanted);
    end if;
    return true;
end
$$;
