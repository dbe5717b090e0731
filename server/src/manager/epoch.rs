//! Which life of its machine, and of its engine, this is: what ran in another one was ended with it, and did not fail.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One life of a machine, and within it of the engine. Written down with what runs in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// The machine's, from one boot to the next.
    pub machine: String,
    /// The engine's; none where whoever speaks to it cannot see its process.
    pub engine: Option<String>,
}

/// What was restarted in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarted {
    /// The machine, and all with it.
    Machine,
    /// The engine, which may end what runs in it.
    Engine,
}

impl Epoch {
    /// What was restarted since the epoch that was written down as `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &str) -> Option<Restarted> {
        let (machine, engine) = earlier.split_once(BETWEEN).unwrap_or((earlier, ""));
        if machine != self.machine {
            return Some(Restarted::Machine);
        }
        // A server that moved into a container sees less than before: nothing was restarted for that.
        let other = self.engine.as_deref().is_some_and(|present| !engine.is_empty() && present != engine);
        other.then_some(Restarted::Engine)
    }
}

/// Stands between both parts where they are written down.
const BETWEEN: char = '/';

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{BETWEEN}{}", self.machine, self.engine.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_and_an_engine_that_were_restarted_are_told_apart() {
        let epoch = |machine: &str, engine: Option<&str>| Epoch { machine: machine.to_owned(), engine: engine.map(str::to_owned) };
        let first = epoch("m1", Some("e1"));
        assert_eq!(first.since(&first.to_string()), None);
        assert_eq!(epoch("m1", Some("e2")).since(&first.to_string()), Some(Restarted::Engine));
        assert_eq!(epoch("m2", Some("e2")).since(&first.to_string()), Some(Restarted::Machine));
        // An engine that cannot be seen, or could not, tells nothing.
        assert_eq!(epoch("m1", None).since(&first.to_string()), None);
        assert_eq!(first.since(&epoch("m1", None).to_string()), None);
    }
}
