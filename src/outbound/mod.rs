//! The one HTTP client of the product, for requests that guests send to the world.
//!
//! Owns what such a request and its answer look like to the rest of the house, why one fails, and
//! all that stands between a guest and a host: names, addresses, TLS, limits. What a policy allows
//! is asked through a closure. No redirect is followed, and no proxy is used.

mod address;
mod client;
mod connect;
pub mod egress;
mod exchange;
mod message;
mod meter;
mod reached;
mod resolve;
mod session;
#[cfg(test)]
mod tests;
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;

pub use address::{InvalidRange, PrivateRange};
pub use client::{Client, InvalidCaFile, Settings};
pub use reached::{Count, Tally};
pub use session::{Gate, Session};

/// A body as it comes, either way.
pub type Body = UnsyncBoxBody<Bytes, Error>;

/// A request with an absolute URI. Its `host` header is not to be trusted.
pub type Request = hyper::Request<Body>;

/// The answer to a request.
pub type Response = hyper::Response<Body>;

/// What becomes of a request. Dropping it ends the exchange.
pub type Exchange = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

/// How one run reaches the network: all of its requests go through this.
pub type Fetch = Arc<dyn Fn(Request, Timeouts) -> Exchange + Send + Sync>;

/// How long a guest is willing to wait; nothing stands for as long as the run may last.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For the connection.
    pub connect: Option<Duration>,
    /// For the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the answer's body.
    pub between_bytes: Option<Duration>,
}

/// Why a request has no answer, or its body no end. The texts are for the analysis's author.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It may not be sent: a policy, a limit, or a forbidden address; what to do about it.
    #[error("{0}")]
    Denied(String),
    /// It cannot be sent as it is.
    #[error("{0}")]
    Invalid(String),
    /// The host's name leads to no address.
    #[error("the name {0} cannot be resolved")]
    UnknownName(String),
    /// Nobody listens there.
    #[error("the connection to {0} was refused")]
    ConnectionRefused(String),
    /// It broke on the way.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// The other side could not show that it is who it should be, or speaks no TLS of ours.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// It took too long; what did.
    #[error("{0} took too long")]
    Timeout(&'static str),
    /// The other side does not speak HTTP.
    #[error("the answer is not HTTP: {0}")]
    Protocol(String),
}
