//! The log: what the runner says about itself, on stderr.
//!
//! Never logged: values, tokens, scopes, results, console lines. What a run says belongs to its
//! record.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts the log at `level`, unless `RUNNER_LOG` says otherwise (such as `debug`, or
/// `runner::store=trace`).
pub fn start(level: &str, format: LogFormat) {
    // What PostgreSQL says about its tables at each start is of no use to anybody.
    let usual = format!("{level},sqlx::postgres::notice=warn");
    let filter = EnvFilter::try_from_env("RUNNER_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second start, as in tests, keeps the first one's settings.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}
