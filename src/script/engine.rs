//! The JavaScript engine, where this binary has it.

/// The engine's component, of the world `runner:javascript/engine`.
#[cfg(feature = "javascript")]
pub(super) const ENGINE: Option<&[u8]> = Some(include_bytes!(env!("RUNNER_JAVASCRIPT_ENGINE")));

/// There is none.
#[cfg(not(feature = "javascript"))]
pub(super) const ENGINE: Option<&[u8]> = None;
