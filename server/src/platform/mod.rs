//! PLATFORM: people, invitations, sessions, passwords, the audit log.

pub mod passwords;
