//! PLATFORM: people, invitations, sessions, passwords, profiles, quotas, the audit log.

pub mod audit;
pub mod fields;
pub mod groups;
pub mod invitations;
pub mod keyring;
pub mod master_key;
pub mod overview;
pub mod passwords;
pub mod people;
pub mod profiles;
pub mod quotas;
pub mod secret;
pub mod sessions;
pub mod setup;
pub mod shares;
pub mod sign_in;
pub mod throttle;
