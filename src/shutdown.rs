//! Being asked to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the process is asked to stop: by SIGINT (Ctrl-C) or by SIGTERM.
///
/// # Errors
///
/// When the system does not let the process listen for signals.
pub async fn requested() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
