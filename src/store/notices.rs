//! Hearing from other nodes that runs were queued.
//!
//! A notice saves the wait until the next look at the queue; nothing depends on it.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::connection::Readers;
use super::{Error, Store};

/// The channel on which nodes tell each other of queued runs.
pub(super) const CHANNEL: &str = "runner_queue";

/// How long to wait before listening again after the connection was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// What other nodes say.
pub struct Notices {
    listener: PgListener,
}

impl Store {
    /// Begins to listen, where there can be other nodes.
    pub async fn notices(&self) -> Result<Option<Notices>, Error> {
        let Readers::Postgres(pool) = &self.readers else { return Ok(None) };
        // A pool of its own: the readers' pool closes only when all of its connections are back.
        let options = pool.connect_options().as_ref().clone();
        let own = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen(CHANNEL).await?;
        Ok(Some(Notices { listener }))
    }
}

impl Notices {
    /// Returns when something was said, or may have been missed.
    pub async fn next(&mut self) {
        // A lost connection is made anew by the listener; what was said meanwhile is missed.
        if let Err(error) = self.listener.recv().await {
            tracing::debug!(%error, "notices of other nodes are not heard");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
