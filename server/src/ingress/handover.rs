//! One port for two servers, and how one of them leaves it without a connection lost.
//!
//! The kernel deals new connections out among all sockets that share a port (`SO_REUSEPORT`), and what waits to be taken from a socket that is closed is
//! reset. So a socket that is to go first takes nobody new: a filter drops the first packet of every connection, which its sender sends again after a
//! second, when the socket is gone and another one's turn has come. What had begun before is taken and served.

use socket2::{SockFilter, SockRef};
use std::{io, net::SocketAddr, time::Duration};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;
/// A handshake that had begun before the filter is done within this time, across the world.
pub(super) const HANDSHAKES: Duration = Duration::from_millis(500);

/// Listens beside other servers of the same account where `shared`, or else alone.
///
/// # Errors
/// When the address is taken, or may not be listened on.
pub fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(shared)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether others may listen there as well.
pub(super) fn is_shared(listener: &TcpListener) -> bool {
    SockRef::from(listener).reuse_port().unwrap_or(false)
}

/// Lets no connection begin here any more. Those that have begun go on.
pub(super) fn take_nobody_new(listener: &TcpListener) -> io::Result<()> {
    /// Loads the byte of the flags, keeps two of them, looks whether the first packet of a connection has them so, and drops that or keeps the whole.
    const FIRST_PACKETS: [SockFilter; 5] = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    // Instructions of the packet filter (linux/filter.h).
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    SockRef::from(listener).attach_filter(&FIRST_PACKETS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn who_comes_late_is_taken_by_the_other_one() {
        let first = listen("127.0.0.1:0".parse().unwrap(), true).unwrap();
        let at = first.local_addr().unwrap();
        assert!(is_shared(&first) && listen(at, false).is_err(), "who does not share finds it taken");
        // Begun before, and taken after.
        let _early = TcpStream::connect(at).await.unwrap();
        take_nobody_new(&first).unwrap();
        first.accept().await.unwrap();
        let late = tokio::spawn(TcpStream::connect(at));
        assert!(tokio::time::timeout(HANDSHAKES, first.accept()).await.is_err());
        let second = listen(at, true).unwrap();
        drop(first);
        let taken = tokio::time::timeout(Duration::from_secs(5), second.accept());
        assert!(taken.await.unwrap().is_ok() && late.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_listens_alone_does() {
        let alone = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        assert!(!is_shared(&alone) && listen(alone.local_addr().unwrap(), true).is_err());
    }
}
