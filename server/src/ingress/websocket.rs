//! An upgraded connection between a browser and a runtime. Bytes pass as they are; where frames end is followed in the direction to the browser, so
//! that a close frame of ours can stand between two of the runtime's.

use super::cut::Reason;
use std::{io, pin::pin, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, copy, sink, split};

/// One side is gone: the other gets this long to end as well.
const LINGER: Duration = Duration::from_secs(5);
/// A close frame of ours is to be on its way, and the browser gone, within this time. A revocation holds within two seconds.
const CLOSING: Duration = Duration::from_secs(1);
/// Bytes that are carried at once.
const CHUNK: usize = 8 * 1024;

/// Where a stream of bytes stands between the frames of a WebSocket (RFC 6455, section 5.2).
#[derive(Debug, Default)]
pub struct Frames {
    /// The head of the frame, as far as it has come.
    head: Vec<u8>,
    /// Bytes of the payload that are still to come; none while the head is incomplete.
    left: Option<u64>,
    /// A close frame has begun: whoever said it says nothing after it.
    closed: bool,
}

impl Frames {
    /// Takes note of bytes up to the end of the frame they belong to, and says how many those were.
    pub fn step(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while self.left.is_none() {
            let Some(byte) = bytes.get(taken) else { return taken };
            self.head.push(*byte);
            taken += 1;
            self.left = payload_length(&self.head);
        }
        let left = self.left.unwrap_or_default();
        let rest = bytes.len() - taken;
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(rest);
        self.closed |= self.head.first().is_some_and(|first| first & 0x0f == CLOSE & 0x0f);
        let left = left - part as u64;
        self.left = Some(left);
        if left == 0 {
            self.head.clear();
            self.left = None;
        }
        taken + part
    }

    /// Takes note of all of these bytes.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.step(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// Whether a frame of ours may stand here.
    #[must_use]
    pub fn between(&self) -> bool {
        self.head.is_empty()
    }

    /// Whether the stream has said its last word already.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.closed
    }
}

/// A whole close frame begins so: the last of its message, and a close.
const CLOSE: u8 = 0x88;

/// The length of the payload, once the head is whole: two bytes, more of them for a longer payload, and four for a mask.
fn payload_length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let (extended, mask) = (head.get(2..).unwrap_or_default(), if second & 0x80 == 0 { 0 } else { 4 });
    let bytes = match second & 0x7f {
        126 => 2,
        127 => 8,
        short => return (extended.len() == mask).then_some(u64::from(short)),
    };
    if extended.len() < bytes + mask {
        return None;
    }
    Some(extended.iter().take(bytes).fold(0, |length, byte| (length << 8) | u64::from(*byte)))
}

/// The close frame for a reason, as a server says it: without a mask.
fn close_frame(reason: Reason) -> Vec<u8> {
    let text = reason.text().as_bytes();
    let length = u8::try_from(text.len() + 2).unwrap_or(2);
    let mut frame = vec![CLOSE, length];
    frame.extend_from_slice(&reason.code().to_be_bytes());
    frame.extend(text.iter().take(usize::from(length - 2)));
    frame
}

/// The direction to the browser. Its state outlives a read or a write that is given up.
struct Outward<R, B> {
    from: ReadHalf<R>,
    to: WriteHalf<B>,
    buffer: Vec<u8>,
    /// What of the buffer is still to be written.
    waiting: std::ops::Range<usize>,
    frames: Frames,
}

impl<R: AsyncRead, B: AsyncWrite> Outward<R, B> {
    fn new(from: ReadHalf<R>, to: WriteHalf<B>) -> Self {
        Self { from, to, buffer: vec![0; CHUNK], waiting: 0..0, frames: Frames::default() }
    }

    /// Carries on until the runtime says no more. May be given up at any await, and goes on where it was.
    async fn carry(&mut self) -> io::Result<()> {
        while self.fill().await? {
            let bytes = self.buffer.get(self.waiting.clone()).unwrap_or_default();
            let written = self.to.write(bytes).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.frames.pass(bytes.get(..written).unwrap_or_default());
            self.waiting.start += written;
            if self.waiting.is_empty() {
                self.to.flush().await?;
            }
        }
        self.to.shutdown().await
    }

    /// Reads more when everything was written. False at the end.
    async fn fill(&mut self) -> io::Result<bool> {
        if self.waiting.is_empty() {
            let read = self.from.read(&mut self.buffer).await?;
            self.waiting = 0..read;
        }
        Ok(!self.waiting.is_empty())
    }

    /// Carries on to the end of the frame that has begun, and says goodbye there.
    async fn close(&mut self, reason: Reason) -> io::Result<()> {
        while !self.frames.between() {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let bytes = self.buffer.get(self.waiting.clone()).unwrap_or_default();
            let taken = self.frames.step(bytes);
            self.to.write_all(bytes.get(..taken).unwrap_or_default()).await?;
            self.waiting.start += taken;
        }
        if !self.frames.closed() {
            self.to.write_all(&close_frame(reason)).await?;
        }
        self.to.shutdown().await
    }
}

/// Carries an upgraded connection until both sides have ended it, or `cut` says why it is to end: then the browser is told by a close frame.
///
/// # Errors
/// When one of the two breaks off.
pub async fn carry<B, R>(browser: B, runtime: R, cut: impl Future<Output = Reason>) -> io::Result<()>
where
    B: AsyncRead + AsyncWrite,
    R: AsyncRead + AsyncWrite,
{
    let (mut from_browser, to_browser) = split(browser);
    let (from_runtime, mut to_runtime) = split(runtime);
    let mut outward = Outward::new(from_runtime, to_browser);
    let reason = {
        let inward = pin!(async {
            copy(&mut from_browser, &mut to_runtime).await?;
            to_runtime.shutdown().await
        });
        let carried = async {
            let back = pin!(outward.carry());
            match futures::future::select(inward, back).await {
                futures::future::Either::Left((ended, other)) => lingering(ended, other).await,
                futures::future::Either::Right((ended, other)) => lingering(ended, other).await,
            }
        };
        tokio::select! {
            biased;
            reason = cut => reason,
            ended = carried => return ended,
        }
    };
    let closing = async {
        outward.close(reason).await?;
        // The browser's own goodbye is read: a socket that is closed with something unread in it resets, and the reset may overtake the frame.
        copy(&mut from_browser, &mut sink()).await.map(drop)
    };
    tokio::time::timeout(CLOSING, closing).await.unwrap_or(Ok(()))
}

/// One direction ended: well, the other one ends soon as well; with an error, at once.
async fn lingering(ended: io::Result<()>, other: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    ended?;
    tokio::time::timeout(LINGER, other).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::duplex, sync::oneshot};

    /// A frame of a server: opcode, whether it is the last of its message, payload.
    fn frame(opcode: u8, last: bool, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![opcode | if last { 0x80 } else { 0 }];
        match payload.len() {
            short @ 0..126 => frame.push(short as u8),
            middle @ 126..65536 => {
                frame.push(126);
                frame.extend((middle as u16).to_be_bytes());
            }
            long => {
                frame.push(127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn frames_end_where_they_end_however_the_bytes_are_cut() {
        let mut stream = Vec::new();
        let mut ends = vec![0];
        for length in [0, 1, 125, 126, 65535, 65536, 70_000, 0] {
            stream.extend(frame(2, true, &vec![0x88; length]));
            ends.push(stream.len());
        }
        // Masked, which a server must not do and this one is not to be confused by.
        stream.extend([0x81, 0x83, 1, 2, 3, 4, 5, 6, 7]);
        ends.push(stream.len());
        for size in [1, 2, 3, 7, 1000, stream.len()] {
            let mut frames = Frames::default();
            let mut at = 0;
            for chunk in stream.chunks(size) {
                frames.pass(chunk);
                at += chunk.len();
                assert_eq!(frames.between(), ends.contains(&at), "at {at} in pieces of {size}");
            }
            assert!(!frames.closed());
        }
        let mut frames = Frames::default();
        frames.pass(&frame(8, true, &[3, 232]));
        assert!(frames.closed() && frames.between());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_confuse_the_parser_into_a_loop_or_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000), cut in 1usize..50) {
            let (mut whole, mut pieces) = (Frames::default(), Frames::default());
            whole.pass(&bytes);
            bytes.chunks(cut).for_each(|chunk| pieces.pass(chunk));
            proptest::prop_assert_eq!(whole.between(), pieces.between());
            proptest::prop_assert_eq!(whole.left, pieces.left);
        }
    }

    #[test]
    fn a_close_frame_says_code_and_reason() {
        let said = close_frame(Reason::SignedOut);
        assert_eq!(said, [&[0x88, 12, 0x11, 0x31][..], b"signed out"].concat());
        for reason in [Reason::SignedOut, Reason::Stopped, Reason::Restart] {
            assert!(close_frame(reason).len() <= 2 + 125, "a control frame is short");
        }
    }

    /// What a browser reads when a runtime had said `first` at the cut and says `rest` after it.
    async fn cut_after(first: &[u8], rest: &[u8]) -> Vec<u8> {
        let ((mut browser, ours), (mut runtime, theirs)) = (duplex(1 << 20), duplex(1 << 20));
        let (cut, fired) = oneshot::channel();
        let carried = tokio::spawn(carry(ours, theirs, async { fired.await.unwrap() }));
        runtime.write_all(first).await.unwrap();
        let mut got = vec![0; first.len()];
        browser.read_exact(&mut got).await.unwrap();
        cut.send(Reason::Stopped).unwrap();
        tokio::task::yield_now().await;
        let _gone = runtime.write_all(rest).await;
        browser.read_to_end(&mut got).await.unwrap();
        drop(browser);
        carried.await.unwrap().unwrap();
        got
    }

    #[tokio::test]
    async fn a_close_frame_of_ours_stands_between_two_of_the_runtimes() {
        let (hello, long) = (frame(1, true, b"hello"), frame(2, true, &[7; 3000]));
        let goodbye = close_frame(Reason::Stopped);
        assert_eq!(cut_after(&hello, b"").await, [&hello[..], &goodbye].concat());
        // In the middle of a frame: its end comes first, and nothing of the next.
        let rest = [&long[10..], &hello].concat();
        assert_eq!(cut_after(&long[..10], &rest).await, [&long[..], &goodbye].concat());
        assert_eq!(cut_after(&long[..1], &long[1..]).await, [&long[..], &goodbye].concat());
        // Between two fragments of a message a control frame may stand (RFC 6455, section 5.4).
        let fragment = frame(1, false, b"hel");
        assert_eq!(cut_after(&fragment, b"").await, [&fragment[..], &goodbye].concat());
        // Whoever said goodbye already says it once.
        let own = frame(8, true, &[3, 232]);
        assert_eq!(cut_after(&own, b"").await, own);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_does_not_end_is_not_waited_for() {
        let long = frame(2, true, &[7; 3000]);
        let ((mut browser, ours), (mut runtime, theirs)) = (duplex(1 << 20), duplex(1 << 20));
        let (cut, fired) = oneshot::channel();
        let carried = tokio::spawn(carry(ours, theirs, async { fired.await.unwrap() }));
        runtime.write_all(&long[..100]).await.unwrap();
        let mut got = vec![0; 100];
        browser.read_exact(&mut got).await.unwrap();
        cut.send(Reason::SignedOut).unwrap();
        carried.await.unwrap().unwrap();
        browser.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, long[..100], "no frame of ours inside one of the runtime's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_is_gone_does_not_leave_the_other_hanging() {
        let ((browser, ours), (_runtime, theirs)) = (duplex(1024), duplex(1024));
        let carried = tokio::spawn(carry(ours, theirs, std::future::pending()));
        drop(browser);
        carried.await.unwrap().unwrap();
    }
}
