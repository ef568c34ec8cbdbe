//! Being asked to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Begins to listen for SIGINT (Ctrl-C) and SIGTERM. From here on they do not end the process;
/// the future returns instead, when one of them has come.
///
/// # Errors
///
/// When the system does not let the process listen for signals.
pub fn requested() -> std::io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
