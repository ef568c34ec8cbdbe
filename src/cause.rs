//! What set a run off.
//!
//! Owns the words for it. It starts nothing.

use serde::{Deserialize, Serialize};

/// The kind of thing that starts runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// A request to the HTTP API, or a command that makes one.
    Api,
    /// `runner exec`.
    Exec,
}

impl CauseKind {
    /// The word used in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Exec => "exec",
        }
    }
}

impl std::str::FromStr for CauseKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "api" => Ok(Self::Api),
            "exec" => Ok(Self::Exec),
            _ => Err(()),
        }
    }
}

/// What set one run off, and who did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Cause {
    /// The kind of starter.
    pub kind: CauseKind,
    /// The principal behind it, in the form the audit uses, such as `token:66f0…`.
    pub by: String,
}
