//! The private PostgreSQL cluster: made, started and stopped when no `DATABASE_URL` is set.
