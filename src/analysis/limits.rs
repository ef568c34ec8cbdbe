//! What one run of an analysis may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The name of the one limit that may be 0.
const SCRATCH: &str = "scratch_bytes";

/// The caps for each run of an analysis. A host has such a set too, which no analysis may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Wall time of a run in milliseconds, time asleep or waiting included.
    pub wall_time_ms: u64,
    /// Linear memory of all the run's memories together, in bytes.
    pub memory_bytes: u64,
    /// Console text in bytes; what comes after is cut, with a mark.
    pub console_bytes: u64,
    /// The result's JSON text in bytes.
    pub result_bytes: u64,
    /// The uploaded module in bytes.
    pub module_bytes: u64,
    /// How many of its runs run at once, on all nodes together.
    pub concurrency: u64,
    /// How many of its runs may wait in the queue.
    pub queued_runs: u64,
    /// How many requests a run may make to the network, refused ones included.
    pub outbound_requests: u64,
    /// What a run may send over the network in bytes, headers and TLS included.
    pub outbound_request_bytes: u64,
    /// What a run may receive from the network in bytes, headers and TLS included.
    pub outbound_response_bytes: u64,
    /// How many connections a run may have at once; further requests wait.
    pub outbound_connections: u64,
    /// What a run may hold in its scratch directory, in bytes; 0 for none, which is the default.
    pub scratch_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_time_ms: 60_000,
            memory_bytes: 256 << 20,
            console_bytes: 1 << 20,
            result_bytes: 1 << 20,
            module_bytes: 64 << 20,
            concurrency: 1_000,
            queued_runs: 10_000,
            outbound_requests: 1_000,
            outbound_request_bytes: 16 << 20,
            outbound_response_bytes: 64 << 20,
            outbound_connections: 16,
            scratch_bytes: 0,
        }
    }
}

/// A limit is too low or passes the host's cap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the limit {name} is {asked}; it must be from {least} to {cap}, this host's cap")]
pub struct InvalidLimits {
    name: &'static str,
    asked: u64,
    least: u64,
    cap: u64,
}

impl Limits {
    /// The wall time as a duration.
    pub const fn wall_time(&self) -> Duration {
        Duration::from_millis(self.wall_time_ms)
    }

    /// Each limit by its name.
    const fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("wall_time_ms", self.wall_time_ms),
            ("memory_bytes", self.memory_bytes),
            ("console_bytes", self.console_bytes),
            ("result_bytes", self.result_bytes),
            ("module_bytes", self.module_bytes),
            ("concurrency", self.concurrency),
            ("queued_runs", self.queued_runs),
            ("outbound_requests", self.outbound_requests),
            ("outbound_request_bytes", self.outbound_request_bytes),
            ("outbound_response_bytes", self.outbound_response_bytes),
            ("outbound_connections", self.outbound_connections),
            (SCRATCH, self.scratch_bytes),
        ]
    }

    /// Checks each limit against the host's `caps`.
    pub fn check(&self, caps: &Self) -> Result<(), InvalidLimits> {
        for ((name, asked), (_, cap)) in self.named().into_iter().zip(caps.named()) {
            // Only this one may be nothing.
            let least = if name == SCRATCH { 0 } else { 1 };
            if asked < least || asked > cap {
                return Err(InvalidLimits { name, asked, least, cap });
            }
        }
        Ok(())
    }

    /// The first limit that is higher than in `before` and above its default.
    pub fn raised(&self, before: &Self) -> Option<&'static str> {
        let (usual, before) = (Self::default().named(), before.named());
        let mut limits = self.named().into_iter().zip(before.into_iter().zip(usual));
        let raised = limits.find(|((_, new), ((_, old), (_, usual)))| new > old && new > usual);
        raised.map(|((name, _), _)| name)
    }

    /// Each limit, or the host's cap where that is lower: caps may have shrunk since the check.
    pub fn within(&self, caps: &Self) -> Self {
        Self {
            wall_time_ms: self.wall_time_ms.min(caps.wall_time_ms),
            memory_bytes: self.memory_bytes.min(caps.memory_bytes),
            console_bytes: self.console_bytes.min(caps.console_bytes),
            result_bytes: self.result_bytes.min(caps.result_bytes),
            module_bytes: self.module_bytes.min(caps.module_bytes),
            concurrency: self.concurrency.min(caps.concurrency),
            queued_runs: self.queued_runs.min(caps.queued_runs),
            outbound_requests: self.outbound_requests.min(caps.outbound_requests),
            outbound_request_bytes: self.outbound_request_bytes.min(caps.outbound_request_bytes),
            outbound_response_bytes: self.outbound_response_bytes.min(caps.outbound_response_bytes),
            outbound_connections: self.outbound_connections.min(caps.outbound_connections),
            scratch_bytes: self.scratch_bytes.min(caps.scratch_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_more_than_the_cap_are_refused() {
        let caps = Limits::default();
        assert_eq!(caps.check(&caps), Ok(()));
        let none = Limits { wall_time_ms: 0, ..caps };
        assert!(none.check(&caps).unwrap_err().to_string().contains("wall_time_ms is 0"));
        let much = Limits { memory_bytes: caps.memory_bytes + 1, ..caps };
        assert!(much.check(&caps).unwrap_err().to_string().contains("memory_bytes"));
        assert_eq!(much.within(&caps), caps);
        let scratch = Limits { scratch_bytes: 1, ..caps };
        assert!(scratch.check(&caps).unwrap_err().to_string().contains("from 0 to 0"));
    }
}
