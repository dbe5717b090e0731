//! OpenClaw's own door.
