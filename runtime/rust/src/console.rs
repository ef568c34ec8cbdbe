//! The console of the run.
//!
//! Each call writes one message of a level; [`debug!`](crate::debug), [`info!`](crate::info),
//! [`warn!`](crate::warn) and [`error!`](crate::error) format one, as `println!` does. Values of
//! granted secrets are masked by the runner before anybody sees the line.

/// How much a message matters.
pub use crate::bindings::runner::analysis::console::Level;

/// Writes one message. It may hold several lines.
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::runner::analysis::console::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}

/// Writes a message that helps whoever works on the analysis.
pub fn debug(message: &str) {
    log(Level::Debug, message);
}

/// Writes a message about what the analysis did.
pub fn info(message: &str) {
    log(Level::Info, message);
}

/// Writes a message about something odd that did not stop the analysis.
pub fn warn(message: &str) {
    log(Level::Warn, message);
}

/// Writes a message about something that went wrong.
pub fn error(message: &str) {
    log(Level::Error, message);
}

/// Formats a message and writes it with [`console::debug`](crate::console::debug).
#[macro_export]
macro_rules! debug {
    ($($part:tt)+) => { $crate::console::debug(&::std::format!($($part)+)) };
}

/// Formats a message and writes it with [`console::info`](crate::console::info).
#[macro_export]
macro_rules! info {
    ($($part:tt)+) => { $crate::console::info(&::std::format!($($part)+)) };
}

/// Formats a message and writes it with [`console::warn`](crate::console::warn).
#[macro_export]
macro_rules! warn {
    ($($part:tt)+) => { $crate::console::warn(&::std::format!($($part)+)) };
}

/// Formats a message and writes it with [`console::error`](crate::console::error).
#[macro_export]
macro_rules! error {
    ($($part:tt)+) => { $crate::console::error(&::std::format!($($part)+)) };
}
