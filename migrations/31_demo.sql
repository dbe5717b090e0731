-- The demo: it answers without any provider. In a migration and not at every start, so that it stays away when it was removed.
with demo as (
    insert into provider (provider_id, kind, name) values (gen_random_uuid(), 'demo', 'Demo') returning provider_id
)
insert into model (model_id, provider_id, name, upstream, description, context_tokens, output_tokens,
                   input_price, cached_input_price, output_price, published, is_default)
select gen_random_uuid(), provider_id, 'demo', 'demo', 'A fixed answer that shows how everything works, until a provider is added.',
       128000, 4096, 0, 0, 0, true, true
from demo;
