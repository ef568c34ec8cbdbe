//! What this process has of an MQTT session that the broker kept: nothing is under way.
//!
//! The client resumes a session only with its own half of it, and without that it refuses to ask
//! for topics. Ours is always empty: the runner publishes nothing, what arrived is acknowledged or
//! comes again, and topics are asked for anew with each connection. So nothing is stored.

use std::pin::Pin;

use rumqttc::{
    PersistedAckMode, PersistedSession, SessionStore, SessionStoreError, SessionStoreKey,
};

/// The future of one access to a session.
type Access<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

/// The version of the client's form of a session that is written here.
const FORM: u16 = 1;

/// A session with nothing under way.
#[derive(Debug)]
pub(super) struct NothingUnderWay {
    /// For how long the broker keeps its half, in seconds.
    pub(super) expiry: u32,
}

impl SessionStore for NothingUnderWay {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Access<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: FORM,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: Some(self.expiry),
            outgoing_inflight_upper_limit: None,
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(async move { Ok(Some(session)) })
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Access<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Access<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
