-- More kinds of providers, calls past LiteLLM, and models that stand in for one another.

alter table provider
    drop constraint provider_kind_check,
    add constraint provider_kind_check check (kind in
        ('demo', 'local', 'open_ai', 'anthropic', 'google', 'azure', 'bedrock', 'mistral', 'open_router', 'ollama', 'open_ai_compatible')),
    -- Bedrock's, which is part of its address
    add column region text,
    -- called without LiteLLM in the shapes that it speaks itself
    add column is_direct boolean not null default false,
    -- whether its name may lead into a private network
    add column allows_private boolean not null default false;

-- Until now every address was an administrator's own, and private ones were allowed.
update provider set allows_private = true where base_url is not null;

-- Which models answer in the place of one that does not, in this order.
create table model_fallback (
    model_id    uuid not null references model on delete cascade,
    place       smallint not null check (place between 1 and 3),
    fallback_id uuid not null references model on delete cascade,
    primary key (model_id, place),
    unique (model_id, fallback_id),
    check (model_id <> fallback_id)
);
create index model_fallback_fallback_idx on model_fallback (fallback_id);
