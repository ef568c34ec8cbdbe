//! The states of a run.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Where a run stands. It moves from queued to running, back when a lease is lost, and ends in
/// exactly one of the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Acknowledged and durable, waiting for a worker.
    Queued,
    /// A worker holds its lease.
    Running,
    /// The analysis ended well.
    Succeeded,
    /// The last attempt ended in a fault.
    Failed,
    /// It failed for good after it was tried again, or was lost too often.
    Dead,
    /// Somebody called it off.
    Cancelled,
    /// It was given to a listener outside, and what it does there is not known here.
    Delivered,
    /// No listener outside came for it in time.
    NoListener,
}

impl State {
    /// Every one, in the order of a run's life.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Dead,
        Self::Cancelled,
        Self::Delivered,
        Self::NoListener,
    ];

    /// The word for it in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Delivered => "delivered",
            Self::NoListener => "no_listener",
        }
    }

    /// Whether the run is over.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_survives_its_text_form() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("gone".parse::<State>(), Err(()));
    }
}
