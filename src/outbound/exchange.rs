//! One request and its answer, on a connection of their own.
//!
//! The connection is driven by a task, so that a request's body goes on while its answer is read.
//! The task ends with the answer, or when nobody wants the answer any more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};

use super::connect::Stream;
use super::message::{HEADER_BYTES, HEADERS};
use super::meter::Meter;
use super::{Error, Request};

/// The connection of one exchange; closed when this is dropped.
pub(super) struct Driven(AbortHandle);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends `request` and waits until its answer begins.
pub(super) async fn send(
    stream: Stream,
    request: Request,
) -> Result<(hyper::Response<Incoming>, Driven), Error> {
    let mut http = http1::Builder::new();
    http.max_headers(HEADERS).max_header_size(HEADER_BYTES).max_buf_size(2 * HEADER_BYTES);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driven = Driven(
        tokio::spawn(async move {
            // How it ends reaches the answer's body too.
            let _ = connection.await;
        })
        .abort_handle(),
    );
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok((response, driven))
}

/// Why hyper gave up, in our words.
fn broken(error: hyper::Error) -> Error {
    use std::error::Error as _;
    if error.is_user()
        && let Some(own) = error.source().and_then(|source| source.downcast_ref::<Error>())
    {
        return Error::Invalid(own.to_string());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    match error.is_parse() || error.is_parse_too_large() {
        true => Error::Protocol(text),
        false => Error::Connection(text),
    }
}

/// The body of an answer. It keeps what the exchange holds until its end.
pub(super) struct Answer<H> {
    incoming: Incoming,
    /// The connection, and whatever else is given back at the end.
    held: Option<(Driven, H)>,
    meter: Arc<Meter>,
    silence: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl<H> Answer<H> {
    /// `silence` is how long the other side may send nothing.
    pub(super) fn new(
        incoming: Incoming,
        driven: Driven,
        held: H,
        meter: Arc<Meter>,
        silence: Option<Duration>,
    ) -> Self {
        let silence = silence.map(|time| (time, Box::pin(tokio::time::sleep(time))));
        let held = (!incoming.is_end_stream()).then_some((driven, held));
        Self { incoming, held, meter, silence }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
                if let Some((time, sleep)) = &mut self.silence {
                    sleep.as_mut().reset(Instant::now() + *time);
                }
                match frame {
                    // Trailers are headers that come too late to be looked at.
                    Some(Ok(frame)) if !frame.is_data() => continue,
                    Some(Err(error)) => {
                        let error = self.meter.passed().unwrap_or_else(|| broken(error));
                        return Poll::Ready(Some(Err(error)));
                    }
                    Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                    None => return Poll::Ready(None),
                }
            }
            let Some((_, sleep)) = &mut self.silence else { return Poll::Pending };
            ready!(sleep.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Error::Timeout("the next piece of the answer"))));
        }
    }
}

impl<H: Unpin> hyper::body::Body for Answer<H> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let answer = self.get_mut();
        let polled = ready!(answer.poll_data(cx));
        if !matches!(polled, Some(Ok(_))) {
            answer.held = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
