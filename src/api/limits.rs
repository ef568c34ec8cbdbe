//! The limits of an analysis as they are sent.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::analysis::Limits;

/// Those of the limits that change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsChange {
    wall_time_ms: Option<u64>,
    memory_bytes: Option<u64>,
    console_bytes: Option<u64>,
    result_bytes: Option<u64>,
    module_bytes: Option<u64>,
    concurrency: Option<u64>,
    queued_runs: Option<u64>,
    outbound_requests: Option<u64>,
    outbound_request_bytes: Option<u64>,
    outbound_response_bytes: Option<u64>,
    outbound_connections: Option<u64>,
    scratch_bytes: Option<u64>,
}

impl LimitsChange {
    /// The limits with those that were sent in their places.
    pub(super) fn of(self, now: &Limits) -> Limits {
        Limits {
            wall_time_ms: self.wall_time_ms.unwrap_or(now.wall_time_ms),
            memory_bytes: self.memory_bytes.unwrap_or(now.memory_bytes),
            console_bytes: self.console_bytes.unwrap_or(now.console_bytes),
            result_bytes: self.result_bytes.unwrap_or(now.result_bytes),
            module_bytes: self.module_bytes.unwrap_or(now.module_bytes),
            concurrency: self.concurrency.unwrap_or(now.concurrency),
            queued_runs: self.queued_runs.unwrap_or(now.queued_runs),
            outbound_requests: self.outbound_requests.unwrap_or(now.outbound_requests),
            outbound_request_bytes: self
                .outbound_request_bytes
                .unwrap_or(now.outbound_request_bytes),
            outbound_response_bytes: self
                .outbound_response_bytes
                .unwrap_or(now.outbound_response_bytes),
            outbound_connections: self.outbound_connections.unwrap_or(now.outbound_connections),
            scratch_bytes: self.scratch_bytes.unwrap_or(now.scratch_bytes),
        }
    }
}
