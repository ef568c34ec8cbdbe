//! The environment of one generation, made ready for its runs: opened, settled, and sealed again.
//!
//! Owns what is opened when. Each secret is opened once for each generation of policies, in
//! memory that is wiped at once; what stays are all values as one text, sealed under a random key beside it. So a
//! run opens one value instead of many, and plaintext still lies in memory only while a run has it.

use std::ops::Range;
use std::sync::Arc;

use crate::environment::{Environment, Layout, Origin, Overlay, TooLarge};
use crate::fault::{Fault, FaultCode};
use crate::id::Id;
use crate::outbound::egress;
use crate::vault::{Scratch, SealedValue};

/// The system entries of every run, in the order of their keys.
pub(super) const ANALYSIS_ID: &str = "_analysis_id";
pub(super) const ATTEMPT: &str = "_attempt";
pub(super) const RUN_ID: &str = "_run_id";

/// Where the value of an entry comes from.
pub(super) enum Source {
    /// A granted secret, if its stored form is sound.
    Secret(Option<SealedValue>),
    /// A stretch of the opened variables.
    Variable(Range<usize>),
    /// A text that is known.
    Known(String),
    /// What each attempt puts in itself: the run's id and its own number.
    Own,
    /// A granted secret that only the host may read, if its stored form is sound. Each attempt puts
    /// in a placeholder.
    Placeholder(Option<Arc<SealedValue>>),
}

/// What stands for the values that each attempt puts in: texts of their lengths.
const NO_RUN: &str = "000000000000000000000000";
const NO_ATTEMPT: &str = "0";
const LAST_SHORT_ATTEMPT: u32 = 9;

impl Source {
    fn len(&self) -> usize {
        match self {
            Self::Secret(sealed) => sealed.as_ref().map_or(0, SealedValue::len),
            Self::Variable(range) => range.len(),
            Self::Known(text) => text.len(),
            Self::Own => NO_RUN.len(),
            Self::Placeholder(_) => egress::PLACEHOLDER_LENGTH,
        }
    }
}

/// An entry to come: its key, where its value comes from, and what is recorded about that.
pub(super) type Planned = (String, Source, Origin);

/// A whole environment, sealed.
pub(super) struct Prepared {
    sealed: SealedValue,
    layout: Arc<Layout>,
    /// How many placeholders each attempt puts in.
    placeholders: usize,
}

impl Prepared {
    /// Opens everything. A secret that does not open fails all runs; it is never left out.
    pub(super) fn new(entries: &[Planned], variables: &str) -> Result<Self, Fault> {
        let bytes = entries.iter().map(|(key, source, _)| key.len() + source.len()).sum();
        TooLarge::check(entries.len(), bytes).map_err(too_large)?;
        let mut overlay = Overlay::with_capacity(entries.len(), bytes);
        let mut scratch = Scratch::default();
        let mut placeholders = Vec::new();
        for (key, source, origin) in entries {
            let value = match source {
                Source::Secret(sealed) => {
                    scratch.clear();
                    let opened = sealed.as_ref().and_then(|sealed| sealed.open(&mut scratch).ok());
                    scratch.text(&opened.ok_or_else(|| unreadable(key, version(origin)))?)
                }
                Source::Placeholder(sealed) => {
                    scratch.clear();
                    let opened = sealed.as_ref().and_then(|sealed| sealed.open(&mut scratch).ok());
                    opened.ok_or_else(|| unreadable(key, version(origin)))?;
                    placeholders.push((key, origin));
                    continue;
                }
                Source::Variable(range) => &variables[range.clone()],
                Source::Known(text) => text,
                Source::Own => continue,
            };
            overlay.add(key, value, origin.clone());
        }
        let known = overlay.value_bytes();
        overlay.add(RUN_ID, NO_RUN, Origin::System);
        overlay.add(ATTEMPT, NO_ATTEMPT, Origin::System);
        for (key, origin) in &placeholders {
            overlay.add(key, &egress::placeholder(), (*origin).clone());
        }
        let environment = overlay.settle().map_err(too_large)?;
        let sealed = SealedValue::in_memory(&environment.values()[..known]).map_err(internal)?;
        let placeholders = placeholders.len();
        Ok(Self { sealed, layout: Arc::clone(environment.layout()), placeholders })
    }

    /// The environment of one attempt, open.
    pub(super) fn open(&self, run: Id, attempt: u32) -> Result<Environment, Fault> {
        let (mut buffer, short) = ([0; 24], attempt.min(LAST_SHORT_ATTEMPT).to_string());
        let placeholders: Vec<String> =
            (0..self.placeholders).map(|_| egress::placeholder()).collect();
        let own = [run.encode(&mut buffer), &short];
        let own = own.into_iter().chain(placeholders.iter().map(String::as_str));
        let room = own.clone().map(str::len).sum();
        let values = self.sealed.open_text(room).map_err(internal)?;
        let environment = self.layout.with(values, own);
        let environment = environment.ok_or_else(|| internal("it has another length"))?;
        if attempt <= LAST_SHORT_ATTEMPT {
            return Ok(environment);
        }
        let mut overlay = Overlay::over(&environment);
        overlay.add(ATTEMPT, &attempt.to_string(), Origin::System);
        overlay.settle().map_err(too_large)
    }
}

fn version(origin: &Origin) -> u32 {
    match origin {
        Origin::Secret { version, .. } | Origin::Placeholder { version, .. } => *version,
        Origin::Variable | Origin::System => 0,
    }
}

/// The fault of a run that needs a secret that does not open.
pub(super) fn unreadable(key: &str, version: u32) -> Fault {
    let message = format!(
        "the secret {key} (version {version}) does not open: its row, its tags or its key was \
         changed outside of the runner; set its value, its tags and its exposure again"
    );
    Fault::new(FaultCode::SecretUnreadable, message)
}

fn too_large(error: TooLarge) -> Fault {
    Fault::new(FaultCode::EnvironmentLimit, error.to_string())
}

fn internal(error: impl std::fmt::Display) -> Fault {
    Fault::new(FaultCode::Internal, format!("the environment was not kept as it was: {error}"))
}
