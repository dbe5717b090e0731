//! The wish: one transaction each, the engine is not touched.

use crate::{Result, data::Connection};
use contract::PersonId;

/// Asks all of a person's runtimes to stop, in the caller's transaction.
pub async fn close_person(_connection: &mut Connection, _person_id: PersonId) -> Result<()> {
    Ok(())
}
