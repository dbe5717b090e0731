//! ORCHESTRATION, the deed: the `Engine` trait, Docker behind it, deterministic names, a fake for tests.
