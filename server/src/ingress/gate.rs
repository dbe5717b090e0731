//! The gate: how many connections there may be, in all and from one address.

use crate::config;
use contract::{Code, Problem};
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Counts the connections of one listener.
pub struct Gate {
    limits: config::Limits,
    count: Mutex<Count>,
}

#[derive(Default)]
struct Count {
    all: usize,
    /// Nobody stands here with none.
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are too many in all.
    All,
    /// There are too many from this address.
    Address,
}

/// A connection's place, until dropped.
pub struct Pass {
    gate: Arc<Gate>,
    /// Counted under this address, unless a proxy's.
    address: Option<IpAddr>,
}

impl Gate {
    /// An empty one.
    #[must_use]
    pub fn new(limits: config::Limits) -> Arc<Self> {
        Arc::new(Self { limits, count: Mutex::default() })
    }

    /// A place for one more connection.
    ///
    /// # Errors
    /// When there is none.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Pass, Full> {
        let address = address.to_canonical();
        // Behind a proxy everybody comes from one address.
        let is_proxy = address.is_loopback() || self.limits.uncounted.iter().any(|network| network.contains(address));
        let address = (self.limits.connections_per_address > 0 && !is_proxy).then(|| network(address));
        let mut count = self.lock();
        if count.all >= self.limits.connections {
            return Err(Full::All);
        }
        if let Some(address) = address {
            let from_there = count.by_address.entry(address).or_default();
            if *from_there >= self.limits.connections_per_address {
                return Err(Full::Address);
            }
            *from_there += 1;
        }
        count.all += 1;
        drop(count);
        Ok(Pass { gate: Arc::clone(self), address })
    }

    /// How many there are.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one address: of IPv6 the first half, since a household or a rented machine has all addresses of the second.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut count = self.gate.lock();
        count.all = count.all.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(from_there) = count.by_address.get_mut(&address)
        {
            *from_there = from_there.saturating_sub(1);
            if *from_there == 0 {
                count.by_address.remove(&address);
            }
        }
    }
}

impl Full {
    fn problem(self) -> Problem {
        match self {
            Self::All => Problem::new(Code::Unavailable, "ClawLoops has as many connections as it takes.").retry_after(5),
            Self::Address => {
                Problem::new(Code::TooManyRequests, "There are too many connections from your network address.").retry_after(5)
            }
        }
    }

    /// The whole answer: nobody has asked anything yet, so that it is the same for a page and for a program.
    fn answer(self) -> String {
        let problem = self.problem();
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let reason = if self == Self::All { "Service Unavailable" } else { "Too Many Requests" };
        format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 5\r\ncache-control: no-store\r\n\
             connection: close\r\n\r\n{body}",
            problem.code.status(),
            body.len()
        )
    }
}

/// Tells a connection that there is no place for it, and closes it. Nothing is waited for: who is turned away costs nothing.
pub fn turn_away(stream: &TcpStream, full: Full) {
    // A socket that was just taken has room for this.
    if let Err(error) = stream.try_write(full.answer().as_bytes()) {
        tracing::debug!(%error, "somebody who was turned away was not told");
    }
}

/// A stream that has its place for as long as it lives, also as a WebSocket.
pub struct Counted<S> {
    stream: S,
    /// Kept for its drop only.
    _pass: Pass,
}

impl<S> Counted<S> {
    /// The stream with its place.
    pub fn new(stream: S, pass: Pass) -> Self {
        Self { stream, _pass: pass }
    }

    /// The stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(all: usize, per_address: usize) -> Arc<Gate> {
        let mut limits = config::Config::for_tests().limits;
        (limits.connections, limits.connections_per_address) = (all, per_address);
        Gate::new(limits)
    }

    #[test]
    fn places_are_counted_in_all_and_by_address_and_given_back() {
        let gate = gate(4, 2);
        let [ada, bob]: [IpAddr; 2] = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        let first = gate.admit(ada).unwrap();
        let _second = gate.admit(ada).unwrap();
        assert_eq!(gate.admit("::ffff:192.0.2.1".parse().unwrap()).err(), Some(Full::Address), "the same address, written for IPv6");
        let _third = gate.admit(bob).unwrap();
        let _fourth = gate.admit(bob).unwrap();
        assert_eq!(gate.admit([192, 0, 2, 3].into()).err(), Some(Full::All));
        drop(first);
        let again = gate.admit(ada).unwrap();
        assert_eq!(gate.taken(), 4);
        drop((again, _second));
        assert!(!gate.lock().by_address.contains_key(&ada));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let gate = gate(10, 1);
        let admit = |address: &str| gate.admit(address.parse().unwrap());
        let _one = admit("2001:db8:0:1::1").unwrap();
        assert_eq!(admit("2001:db8:0:1:ffff::2").err(), Some(Full::Address));
        assert!(admit("2001:db8:0:2::1").is_ok());
    }

    #[test]
    fn a_proxy_of_this_machine_may_have_as_many_as_there_are() {
        let gate = gate(10, 2);
        let passes: Vec<Pass> =
            (0..10).map(|n| gate.admit(if n % 2 == 0 { [127, 0, 0, 1].into() } else { "::1".parse().unwrap() }).unwrap()).collect();
        assert_eq!(gate.admit([127, 0, 0, 1].into()).err(), Some(Full::All));
        drop(passes);
        assert_eq!(gate.taken(), 0);
    }

    #[test]
    fn so_may_a_trusted_proxy_of_another_machine_and_nobody_beside_it() {
        let mut limits = config::Config::for_tests().limits;
        (limits.connections_per_address, limits.uncounted) = (1, vec!["192.0.2.0/30".parse().unwrap()]);
        let gate = Gate::new(limits);
        let _passes: Vec<Pass> = (0..10).map(|_| gate.admit([192, 0, 2, 3].into()).unwrap()).collect();
        let _other = gate.admit([192, 0, 2, 4].into()).unwrap();
        assert_eq!(gate.admit([192, 0, 2, 4].into()).err(), Some(Full::Address));
    }

    #[test]
    fn who_is_turned_away_is_told_in_whole() {
        for (full, status) in [(Full::All, "503 Service Unavailable"), (Full::Address, "429 Too Many Requests")] {
            let answer = full.answer();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")) && head.contains("connection: close"), "{head}");
            assert!(head.contains(&format!("content-length: {}", body.len())) && body.contains("\"retry_after\":5"), "{answer}");
        }
    }
}
