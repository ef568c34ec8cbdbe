//! What was masked: how often which entry stood there in which spelling.
//!
//! Owns the counting. It holds places in an environment and numbers, and no value.

use std::collections::BTreeMap;

use super::Redactor;
use super::encodings::Form;
use super::escapes::Escape;
use super::patterns::TOKEN;
use crate::environment::Origin;
use crate::id::Id;
use crate::words::words;

words! {
    /// The spelling in which a value was found.
    Encoding:
    Raw "raw" => "As it is.";
    Hex "hex" => "In hexadecimal digits.";
    Base64 "base64" => "In base64, of either alphabet and at any offset.";
    Percent "percent" => "Percent-encoded.";
    Form "form" => "Percent-encoded, with `+` for the space.";
    Json "json" => "As it stands in a JSON string, with escapes.";
}

impl From<Form> for Encoding {
    fn from(form: Form) -> Self {
        match form {
            Form::Raw => Self::Raw,
            Form::Hex => Self::Hex,
            Form::Base64(_) => Self::Base64,
        }
    }
}

impl From<Escape> for Encoding {
    fn from(escape: Escape) -> Self {
        match escape {
            Escape::Percent => Self::Percent,
            Escape::Form => Self::Form,
            Escape::Json => Self::Json,
        }
    }
}

/// How often secrets of one environment were masked, by spelling. It costs nothing until there is
/// one.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Caught(BTreeMap<(u32, Encoding), u64>);

/// A secret that was masked in one spelling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Catch<'a> {
    /// The secret's key.
    pub key: &'a str,
    /// The secret.
    pub secret: Id,
    /// The spelling.
    pub encoding: Encoding,
    /// How many marks stand for it.
    pub times: u64,
}

impl Caught {
    /// Whether nothing was masked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what another text held.
    pub fn add(&mut self, other: Self) {
        for (what, times) in other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// Counts a mark. The token of a run is of no use to anybody else, so that it tells nothing.
    pub(super) fn count(&mut self, entry: u32, encoding: Encoding) {
        if entry != TOKEN {
            *self.0.entry((entry, encoding)).or_default() += 1;
        }
    }
}

impl Redactor {
    /// What was caught, by name. It must have come from this redactor, or one of the same
    /// environment.
    pub fn name<'a>(&'a self, caught: &'a Caught) -> impl Iterator<Item = Catch<'a>> {
        let layout = &*self.shared.environment.layout;
        caught.0.iter().filter_map(|(&(entry, encoding), &times)| {
            let entry = layout.entries.get(entry as usize)?;
            // Only secrets are masked.
            let Origin::Secret { secret, .. } = entry.origin else { return None };
            Some(Catch { key: layout.key(entry), secret, encoding, times })
        })
    }
}
