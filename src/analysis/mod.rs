//! An analysis: the small program somebody uploads, and what is set for it.
//!
//! Owns the words around one: its name, tags, variables, limits and module versions, the rules
//! they keep, how module bytes are inspected and where they lie. It runs nothing and knows no
//! secret.

mod limits;
pub mod module;
pub mod module_store;
mod retry;
mod variable;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::id::Id;
use crate::tag::Tags;

pub use limits::{InvalidLimits, Limits};
pub use module::{Digest, Form, InvalidModule};
pub use module_store::ModuleStore;
pub use retry::{InvalidRetry, Retry};
pub use variable::{
    EncodedVariable, InvalidVariable, MAX_VARIABLES, Variable, VariableKind, check_key,
    check_variables, decode as decode_variables, encode as encode_variables,
};

/// The `run_on` of an analysis whose runs are for listeners outside.
pub const EXTERNAL: &str = "external";

/// The longest name, in Unicode characters.
pub const MAX_NAME_LENGTH: usize = 100;

/// One analysis, without its variables' values and its modules' bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct Analysis {
    /// Unique in the whole store.
    pub id: Id,
    /// 1 to [`MAX_NAME_LENGTH`] characters; need not be unique.
    pub name: String,
    /// Free text for people.
    pub description: Option<String>,
    /// Whether runs may start.
    pub active: bool,
    /// `tago` or [`EXTERNAL`], as TagoIO's clients write it.
    pub run_on: String,
    /// Whether an administrator lets its runs leave for listeners outside.
    pub external: bool,
    /// What the client says about the language; the runner does not read it.
    pub runtime: String,
    /// What policies select it by.
    pub tags: Tags,
    /// The caps for its runs.
    pub limits: Limits,
    /// Which failed attempts are tried again.
    pub retry: Retry,
    /// The version that runs, if one was uploaded.
    pub version: Option<u32>,
    /// When its latest run started.
    pub last_run: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}

impl Analysis {
    /// Whether its runs are for listeners outside, and never executed here.
    pub fn runs_outside(&self) -> bool {
        self.run_on == EXTERNAL
    }

    /// Whether its runs are given to listeners outside.
    pub fn delivers(&self) -> bool {
        self.external && self.runs_outside()
    }
}

/// One upload of a module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModuleVersion {
    /// Counted from 1 within the analysis.
    pub version: u32,
    /// The module's SHA-256.
    pub digest: Digest,
    /// What the bytes are.
    pub form: Form,
    /// The module's size in bytes.
    pub size: u64,
    /// The name that the uploader gave the file.
    pub file_name: String,
    /// The principal who uploaded it.
    pub created_by: String,
    /// When it was uploaded.
    pub created_at: Timestamp,
}
