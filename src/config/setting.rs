//! The one list of settings.

/// One setting: its name in `runner.toml`, and what it is for. Its variable is `RUNNER_` and the
/// name in capitals.
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    Setting { name: "data", about: "data directory" },
    Setting {
        name: "store",
        about: "postgres:// URL of a store for several nodes; none: in the data directory",
    },
    Setting { name: "root_key", about: "file with the root key, outside of the data directory" },
    Setting { name: "listen", about: "address of the HTTP API" },
    Setting { name: "drain_seconds", about: "time that running guests get when serve stops" },
    Setting { name: "log_format", about: "form of the log's lines: text or json" },
    Setting { name: "mqtt_url", about: "broker whose messages start runs: mqtt:// or mqtts://" },
    Setting { name: "mqtt_user", about: "user at the broker" },
    Setting { name: "mqtt_password_file", about: "file with the user's password, mode 0600" },
    Setting { name: "mqtt_client_id", about: "client id at the broker; none: runner-PROFILE" },
    Setting { name: "guests", about: "guests that run at the same time" },
    Setting { name: "memory_budget_bytes", about: "memory of all guests together" },
    Setting { name: "wall_time_cap_ms", about: "cap on an analysis's wall time" },
    Setting { name: "memory_cap_bytes", about: "cap on an analysis's memory" },
    Setting { name: "console_cap_bytes", about: "cap on the console text of a run" },
    Setting { name: "result_cap_bytes", about: "cap on the result of a run" },
    Setting { name: "module_cap_bytes", about: "cap on an uploaded module" },
    Setting { name: "concurrency_cap", about: "cap on the runs of an analysis at once" },
    Setting { name: "queued_runs_cap", about: "cap on the waiting runs of an analysis" },
    Setting { name: "outbound_requests_cap", about: "cap on the network requests of a run" },
    Setting {
        name: "outbound_request_bytes_cap",
        about: "cap on what a run sends over the network",
    },
    Setting {
        name: "outbound_response_bytes_cap",
        about: "cap on what a run receives from the network",
    },
    Setting { name: "outbound_connections_cap", about: "cap on the connections of a run at once" },
    Setting { name: "scratch_cap_bytes", about: "cap on the scratch directory of a run" },
    Setting {
        name: "outbound_private_ranges",
        about: "private addresses that policies may open, such as 10.0.0.0/8",
    },
    Setting {
        name: "outbound_hosts",
        about: "addresses of names that are not looked up, such as db.internal=10.0.0.7",
    },
    Setting {
        name: "outbound_ca_file",
        about: "PEM file of certificate authorities that analyses' requests trust too",
    },
    Setting {
        name: "outbound_egress_over_plain_http",
        about: "whether egress secrets go without TLS to their hosts that say http://",
    },
    Setting { name: "compile_seconds", about: "processor time and wall time of a compilation" },
    Setting { name: "compile_memory_bytes", about: "address space of a compilation" },
    Setting { name: "secret_value_cap", about: "longest secret value, in characters" },
    Setting { name: "max_variables", about: "most variables of one analysis" },
    Setting { name: "retention_days", about: "days that ended runs are kept; 0: for ever" },
    Setting {
        name: "retention_runs",
        about: "newest ended runs that are kept, besides dead ones; 0: all",
    },
    Setting { name: "retention_slots_days", about: "days that slots are kept; 0: for ever" },
    Setting { name: "audit_days", about: "days that audit entries are kept; 0: for ever" },
];
