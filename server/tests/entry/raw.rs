//! Sockets without a client's or a server's manners.

use crate::support::TestApp;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// After so long without a byte, nothing more is said.
const SILENCE: Duration = Duration::from_millis(700);

/// A request as a plain server in a runtime's place takes it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request line and the headers.
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The values of a header, by its lower-case name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(said, _)| said.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }
}

/// A server in a runtime's place that notes every request and answers each with the same bytes.
pub struct Recorder {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub async fn recorder(answer: &'static str) -> Recorder {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(record(stream, Arc::clone(&noted), answer));
        }
    });
    Recorder { address, seen }
}

/// Reads requests one after the other, as naively as there is.
async fn record(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, answer: &'static str) -> Option<()> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = find(&bytes, b"\r\n\r\n") {
                break at + 4;
            }
            more(&mut stream, &mut bytes).await?;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes.drain(..end);
        let request = Seen { head, body: Vec::new() };
        let body = if request.all("transfer-encoding").is_empty() {
            let length: usize = request.all("content-length").first().map_or(0, |length| length.parse().unwrap());
            while bytes.len() < length {
                more(&mut stream, &mut bytes).await?;
            }
            bytes.drain(..length).collect()
        } else {
            chunks(&mut stream, &mut bytes).await?
        };
        seen.lock().unwrap().push(Seen { body, ..request });
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

async fn chunks(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = loop {
            if let Some(at) = find(bytes, b"\r\n") {
                break at;
            }
            more(stream, bytes).await?;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?.split(';').next()?.trim(), 16).ok()?;
        while bytes.len() < line + 2 + size + 2 {
            more(stream, bytes).await?;
        }
        body.extend_from_slice(&bytes[line + 2..line + 2 + size]);
        bytes.drain(..line + 2 + size + 2);
        if size == 0 {
            return Some(body);
        }
    }
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 4096];
    let read = stream.read(&mut part).await.ok().filter(|read| *read > 0)?;
    bytes.extend_from_slice(&part[..read]);
    Some(())
}

pub fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// A server in a runtime's place that answers every connection's first request with these bytes, and then closes or says nothing more.
pub async fn scripted(answer: Vec<u8>, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut asked = Vec::new();
                while find(&asked, b"\r\n\r\n").is_none() {
                    more(&mut stream, &mut asked).await?;
                }
                stream.write_all(&answer).await.ok()?;
                if !closes {
                    while more(&mut stream, &mut asked).await.is_some() {}
                }
                Some(())
            });
        }
    });
    address
}

/// Says these bytes to the server, and returns what it says until it closes or falls silent.
pub async fn say(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", app.port)).await.unwrap();
    let _closed_early = stream.write_all(bytes).await;
    hear(&mut stream).await
}

pub async fn hear(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    while let Ok(Some(())) = tokio::time::timeout(SILENCE, more(stream, &mut said)).await {}
    String::from_utf8_lossy(&said).into_owned()
}

/// The status of each answer in what a server said.
pub fn statuses(said: &str) -> Vec<u16> {
    said.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).unwrap_or_default().parse().unwrap()).collect()
}
