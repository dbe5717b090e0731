-- What an installation held before providers had ways of their own (116), records became totals (117), the master key had a name (118) and
-- limits had owners (119).
insert into person (person_id, email, name, role, password_hash) values
    ('00000000-0000-0000-0000-00000000000a', 'mira@example.org', 'Mira', 'administrator', 'x'),
    ('00000000-0000-0000-0000-00000000000b', 'ada@example.org', 'Ada', 'person', 'x');
insert into runtime (runtime_id, person_id, name, host_label, desired_state, phase, memory_bytes, cpu_millis, pids, image, volume, profile_id, workspace_bytes)
    select '00000000-0000-0000-0000-0000000000f1', '00000000-0000-0000-0000-00000000000b', 'Main', 'main', 'running', 'ready', 2147483648, 2000, 512,
           'image', 'volume', profile_id, 1073741824
    from profile limit 1;
insert into provider (provider_id, kind, name, base_url) values
    ('00000000-0000-0000-0000-0000000000c1', 'open_ai_compatible', 'In the office', 'http://10.0.0.8/v1'),
    ('00000000-0000-0000-0000-0000000000c2', 'open_ai', 'OpenAI', null);
insert into model (model_id, provider_id, name, upstream, context_tokens, output_tokens, input_price, cached_input_price, output_price, published) values
    ('00000000-0000-0000-0000-0000000000d1', '00000000-0000-0000-0000-0000000000c1', 'office', 'x', 32000, 4000, 1000000, 500000, 2000000, true);
insert into model_key (key_id, person_id, name, created_at) values
    ('00000000-0000-0000-0000-0000000000e1', '00000000-0000-0000-0000-00000000000b', 'laptop', '2026-11-01 12:00+00'),
    ('00000000-0000-0000-0000-0000000000e2', '00000000-0000-0000-0000-00000000000b', 'desk', '2026-11-01 12:00+00');
-- One that its owner made with it, and one that the administrator gave later.
insert into budget (budget_id, key_id, time_window, unit, amount, created_at, updated_at) values
    ('00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-0000000000e1', 'day', 'money', 5000000, '2026-11-01 12:00:00.5+00', '2026-11-01 12:00:00.5+00'),
    ('00000000-0000-0000-0000-0000000000b2', '00000000-0000-0000-0000-0000000000e2', 'day', 'money', 5000000, '2026-11-03 12:00+00', '2026-11-03 12:00+00');
insert into usage_record (usage_record_id, at, person_id, runtime_id, key_id, model, route, input_tokens, output_tokens, cost, outcome)
    select gen_random_uuid(), '2026-11-05 12:00+00'::timestamptz + n * interval '1 minute', '00000000-0000-0000-0000-00000000000b', null,
           '00000000-0000-0000-0000-0000000000e1', 'office', 'litellm', 100, 10, 120, 'done'
    from generate_series(1, 50) as n;
