//! What one run has of the network: its permissions, its limits, and what it reached.
//!
//! Owns the order of the steps that a request takes, which stands in one function, `exchange`.
//! Nothing of it is shared with another run but the settings.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::client::Client;
use super::egress::Egress;
use super::exchange::{self, Answer};
use super::message;
use super::meter::{Meter, passed};
use super::reached::{Reached, Tally};
use super::{Error, Fetch, Request, Response, Timeouts};
use crate::analysis::Limits;
use crate::host::Destination;

/// How long a connection may take, with the wait for a place and TLS, where the guest asks for no
/// shorter time.
const CONNECT: Duration = Duration::from_secs(30);

/// Whether the run may reach a destination, or the text that tells its author why not.
pub type Gate = Box<dyn Fn(&Destination) -> Result<(), String> + Send + Sync>;

/// One run's way to the network.
pub struct Session {
    client: Client,
    gate: Gate,
    egress: Egress,
    limits: Limits,
    meter: Arc<Meter>,
    /// The places for connections that are free.
    places: Semaphore,
    reached: Reached,
}

/// A connection's place, given back when the last of its holders is gone.
struct Place {
    session: Arc<Session>,
    _of_host: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.session.places.add_permits(1);
    }
}

impl Session {
    /// A session of a run with these `limits` that has no secrets to send.
    pub fn new(client: Client, gate: Gate, limits: Limits) -> Arc<Self> {
        Self::with_egress(client, gate, limits, Egress::default())
    }

    /// A session of a run with these `limits` and the secrets that it may send and not read.
    pub fn with_egress(client: Client, gate: Gate, limits: Limits, egress: Egress) -> Arc<Self> {
        let places = usize::try_from(limits.outbound_connections).unwrap_or(usize::MAX);
        let places = Semaphore::new(places.min(Semaphore::MAX_PERMITS));
        let (meter, reached) = (Arc::new(Meter::new(limits)), Reached::default());
        Arc::new(Self { client, gate, egress, limits, meter, places, reached })
    }

    /// The closure that the run's requests go through.
    pub fn fetch(self: Arc<Self>) -> Fetch {
        Arc::new(move |request, timeouts| Box::pin(Arc::clone(&self).exchange(request, timeouts)))
    }

    /// Which destinations the run asked for, and how often.
    pub fn asked(&self) -> Tally {
        self.reached.tally()
    }

    /// One request, from its URI to the beginning of its answer.
    async fn exchange(
        self: Arc<Self>,
        request: Request,
        timeouts: Timeouts,
    ) -> Result<Response, Error> {
        let destination = message::destination(request.uri())?;
        self.permit(&destination)?;
        let request = message::clean(request, &destination)?;
        let connecting = timeouts.connect.map_or(CONNECT, |asked| asked.min(CONNECT));
        // First a place, so that no more bodies are read for secrets at once than connections are.
        let place = self.place(connecting).await?;
        let (request, carried) = self.egress.insert(&destination, request).await?;
        let connected = self.client.connect(&destination, &self.meter, Arc::clone(&place));
        let connected = timeout(connecting, connected).await;
        let connected = connected.unwrap_or(Err(Error::Timeout("the connection")));
        let stream = connected.map_err(|error| self.meter.passed().unwrap_or(error))?;
        let sent = within(timeouts.first_byte, exchange::send(stream, request)).await;
        let (response, driven) = sent.map_err(|error| self.meter.passed().unwrap_or(error))?;
        let (parts, incoming) = message::receive(response)?.into_parts();
        let meter = Arc::clone(&self.meter);
        let answer = Answer::new(incoming, driven, place, meter, timeouts.between_bytes);
        let response = Response::from_parts(parts, answer.boxed_unsync());
        match carried {
            Some(carried) => carried.mask(response),
            None => Ok(response),
        }
    }

    /// Counts the request and asks whether it may be made.
    fn permit(&self, destination: &Destination) -> Result<(), Error> {
        self.meter.request()?;
        let answer = (self.gate)(destination);
        self.reached.note(destination, answer.is_ok());
        answer.map_err(Error::Denied)
    }

    /// Waits for a place of the run's own, and for one of the host's.
    async fn place(self: &Arc<Self>, patience: Duration) -> Result<Arc<Place>, Error> {
        let limit = self.limits.outbound_connections;
        let full = |_| passed(format_args!("{limit} requests under way"), "outbound_connections");
        let own = timeout(patience, self.places.acquire()).await.map_err(full)?;
        let closed = || Error::Denied("the runner stops".into());
        let own = own.map_err(|_| closed())?;
        let busy = "this host has too many connections under way; try again later";
        let waited = timeout(patience, self.client.place()).await;
        let of_host = waited.map_err(|_| Error::Denied(busy.into()))?.ok_or_else(closed)?;
        own.forget();
        Ok(Arc::new(Place { session: Arc::clone(self), _of_host: of_host }))
    }
}

/// Waits for the beginning of an answer, no longer than the guest wants to.
async fn within<T>(
    limit: Option<Duration>,
    sending: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(limit) = limit else { return sending.await };
    let waited = timeout(limit, sending).await;
    waited.unwrap_or(Err(Error::Timeout("the first byte of the answer")))
}
