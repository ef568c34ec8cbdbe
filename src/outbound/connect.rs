//! A connection to one of the addresses that were checked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::Error;
use super::meter::Metered;
use crate::host::Destination;

/// How long one address may take while there are others.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(3);

/// How many addresses of one name are tried.
const ADDRESSES: usize = 8;

/// What HTTP is spoken over.
pub(super) enum Stream {
    Plain(Metered),
    Tls(Box<TlsStream<Metered>>),
}

/// Connects to the first of `addresses` that answers, in their order.
pub(super) async fn connect(
    destination: &Destination,
    addresses: &[IpAddr],
) -> Result<TcpStream, Error> {
    let mut failure = Error::UnknownName(destination.host.to_string());
    let tried = &addresses[..addresses.len().min(ADDRESSES)];
    for (number, address) in (1..).zip(tried) {
        let connecting = TcpStream::connect(SocketAddr::new(*address, destination.port));
        let connected = if number == tried.len() {
            connecting.await
        } else {
            let waited = tokio::time::timeout(ONE_OF_SEVERAL, connecting).await;
            waited.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match connected {
            Ok(stream) => {
                // Only a delay is lost where this fails.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                failure = Error::ConnectionRefused(destination.authority());
            }
            Err(error) => failure = Error::Connection(error.to_string()),
        }
    }
    Err(failure)
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Plain($stream) => $call,
            Stream::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
