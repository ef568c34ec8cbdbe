//! What one run has used of the network, and a connection that counts.
//!
//! Counted is what goes over the wire, TLS and headers included, so that nothing a guest or a
//! server sends comes for free.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Error;
use crate::analysis::Limits;

/// The counters of one run, with their limits.
pub(super) struct Meter {
    limits: Limits,
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// A write was refused, so what is sent can never be whole.
    cut: AtomicBool,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            limits,
            requests: zero(),
            sent: zero(),
            received: zero(),
            cut: AtomicBool::new(false),
        }
    }

    /// Counts one more request, if it may be made.
    pub(super) fn request(&self) -> Result<(), Error> {
        let limit = self.limits.outbound_requests;
        if self.requests.fetch_add(1, Ordering::Relaxed) >= limit {
            return Err(passed(format_args!("made {limit} requests"), "outbound_requests"));
        }
        self.passed().map_or(Ok(()), Err)
    }

    /// The limit of bytes that was passed, if one was.
    pub(super) fn passed(&self) -> Option<Error> {
        let (sent, received) =
            (self.limits.outbound_request_bytes, self.limits.outbound_response_bytes);
        if self.cut.load(Ordering::Relaxed) {
            return Some(passed(format_args!("sent {sent} bytes"), "outbound_request_bytes"));
        }
        (self.received.load(Ordering::Relaxed) > received)
            .then(|| passed(format_args!("received {received} bytes"), "outbound_response_bytes"))
    }
}

/// The refusal of a run that has used all of a limit.
pub(super) fn passed(used: std::fmt::Arguments<'_>, limit: &str) -> Error {
    Error::Denied(format!(
        "this run has {used}, which is the limit {limit} of its analysis: \
         `runner analysis edit --help` tells how it is raised"
    ))
}

/// A connection whose bytes count.
pub(super) struct Metered {
    stream: TcpStream,
    meter: Arc<Meter>,
}

impl Metered {
    pub(super) fn new(stream: TcpStream, meter: Arc<Meter>) -> Self {
        Self { stream, meter }
    }
}

fn cut() -> io::Error {
    io::Error::other("a limit was passed")
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = (buffer.filled().len() - before) as u64;
        let received = self.meter.received.fetch_add(read, Ordering::Relaxed) + read;
        match received > self.meter.limits.outbound_response_bytes {
            true => Poll::Ready(Err(cut())),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (limit, sent) = (self.meter.limits.outbound_request_bytes, &self.meter.sent);
        let wanted = bytes.len() as u64;
        // Several connections of the run may write at the same time: each reserves its part.
        let reserve = |sent: u64| Some(sent.saturating_add(wanted).min(limit));
        let before = sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve);
        let before = before.unwrap_or_else(|before| before);
        let reserved = wanted.min(limit.saturating_sub(before));
        if reserved == 0 && wanted > 0 {
            self.meter.cut.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(cut()));
        }
        let part = usize::try_from(reserved).map_or(bytes, |end| &bytes[..end]);
        let written = Pin::new(&mut self.stream).poll_write(cx, part);
        let used = match &written {
            Poll::Ready(Ok(used)) => *used as u64,
            _ => 0,
        };
        self.meter.sent.fetch_sub(reserved - used, Ordering::Relaxed);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
