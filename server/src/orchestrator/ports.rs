//! Ports of runtimes, where they have no host names of their own: which may be given away, and which of them this server really listens on.
//!
//! Which runtime has which port stands in the database and stays for as long as the runtime is there. The entry listens, and says here how that goes.

use crate::config::{self, ports::Ports as Range};
use contract::{Code, Problem};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, TcpListener},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The ports that the settings leave to runtimes.
pub struct Ports {
    range: Range,
    ip: IpAddr,
    /// What became of those that were to be listened on: none where that goes well, otherwise what is wrong.
    opened: Mutex<BTreeMap<u16, Option<String>>>,
}

impl Ports {
    /// Those that the settings name; none where runtimes have host names.
    #[must_use]
    pub fn of(entry: &config::Entry) -> Option<Self> {
        Some(Self { range: entry.runtime_ports?, ip: entry.listen.ip(), opened: Mutex::default() })
    }

    /// All of them.
    #[must_use]
    pub fn range(&self) -> Range {
        self.range
    }

    /// Where they are listened on: where the dashboard is.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Those that another program of this machine has now: not to be given away.
    #[must_use]
    pub fn busy(&self) -> Vec<u16> {
        let ours: Vec<u16> = self.lock().iter().filter(|(_, fault)| fault.is_none()).map(|(port, _)| *port).collect();
        let is_taken = |port: &u16| TcpListener::bind((self.ip, *port)).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
        self.range.all().filter(|port| ours.binary_search(port).is_err() && is_taken(port)).collect()
    }

    /// Said when there is none left to give.
    #[must_use]
    pub fn used_up(&self) -> Problem {
        let count = self.range.count();
        Problem::new(Code::Unavailable, format!("Each runtime has a port of its own, and all {count} that there are ({}) are in use.", self.range)).remedy(
            "Delete a runtime that nobody needs any more, also one that is stopped, or let an administrator widen CLAWLOOPS_RUNTIME_PORTS and restart the server.",
        )
    }

    /// Said of a runtime that has none of them.
    #[must_use]
    pub fn none_given(&self) -> Problem {
        let message = format!("This runtime has none of the ports {}, so there is no address to open it at.", self.range);
        Problem::new(Code::Unavailable, message).remedy("Let an administrator restart the server, which gives it one.")
    }

    /// This one is listened on now.
    pub fn opened(&self, port: u16) {
        self.lock().insert(port, None);
    }

    /// This one cannot be listened on, for this reason.
    pub fn failed(&self, port: u16, why: &io::Error) {
        self.lock().insert(port, Some(why.to_string()));
    }

    /// None but these are given away: the others are nobody's any more.
    pub fn keep(&self, given: &[u16]) {
        self.lock().retain(|port, _| given.contains(port));
    }

    /// Why whoever wants to open the runtime at this port cannot, if that is so.
    #[must_use]
    pub fn fault(&self, port: u16) -> Option<Problem> {
        let why = self.lock().get(&port)?.clone()?;
        let message = format!("Port {port} of the server, where this runtime would be, cannot be listened on: {why}.");
        Some(Problem::new(Code::Unavailable, message).remedy(
            "Another program of that machine has it. Stop that program, and the runtime can be opened within seconds, or delete the runtime and make \
             it anew under the same name: it keeps its workspace and gets another port.",
        ))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, Option<String>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_port_of_another_program_is_found_and_one_of_ours_is_not_taken_for_that() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut entry = Config::for_tests().entry;
        assert!(Ports::of(&entry).is_none());
        entry.runtime_ports = Some(format!("{port}-{port}").parse().unwrap());
        let ports = Ports::of(&entry).unwrap();
        assert_eq!(ports.busy(), [port]);
        assert!(ports.fault(port).is_none());
        ports.failed(port, &io::Error::from(io::ErrorKind::AddrInUse));
        let fault = ports.fault(port).unwrap();
        assert!(fault.message.contains(&port.to_string()) && fault.remedy.is_some());
        assert_eq!(ports.busy(), [port]);
        ports.opened(port);
        assert_eq!((ports.busy(), ports.fault(port)), (vec![], None));
        ports.keep(&[]);
        drop(taken);
        assert_eq!(ports.busy(), Vec::<u16>::new());
    }
}
