//! Modules that were refused, so that none is compiled again for nothing.
//!
//! Owns which refusals are remembered, and for how long. What the compiler said about the bytes
//! alone holds as long as the engine and the bounds stay the same, and is kept on disk beside the
//! artefacts. What the moment may have had a part in (time, memory, a crash) is forgotten after an
//! hour, and what this runner does not link after the process.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CompileError;
use crate::analysis::Digest;
use crate::clock::Timestamp;

/// The most refusals that are remembered; the oldest make room.
const MOST: usize = 256;

/// The longest message that is remembered, in bytes.
const MESSAGE_BYTES: usize = 1 << 10;

/// How long a refusal holds that a busy host may be the reason of.
const FOR_NOW: Duration = Duration::from_secs(3_600);

/// The refusals of one engine and its bounds.
#[derive(Default)]
pub(super) struct Refused(HashMap<Digest, Refusal>);

struct Refusal {
    why: CompileError,
    at: Timestamp,
}

/// A refusal as it lies on disk.
#[derive(Serialize, Deserialize)]
struct Record {
    module: Digest,
    at: Timestamp,
    why: Why,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    Invalid(String),
    TooSlow(Duration),
    TooLarge(u64),
    Crashed(String),
}

impl Refused {
    /// Those that were written down; none where the bytes are not what [`Refused::to_bytes`] makes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let records: Vec<Record> = serde_json::from_slice(bytes).unwrap_or_default();
        let refusal = |Record { module, at, why }| (module, Refusal { why: why.into(), at });
        Self(records.into_iter().map(refusal).collect())
    }

    /// Those that may outlive the process.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let record = |(module, Refusal { why, at }): (&Digest, &Refusal)| {
            Some(Record { module: *module, at: *at, why: Why::of(why)? })
        };
        let records: Vec<_> = self.0.iter().filter_map(record).collect();
        // Words, numbers and texts: writing them as JSON cannot fail.
        serde_json::to_vec(&records).unwrap_or_default()
    }

    /// Why a module was refused, if that still holds at `now`.
    pub(super) fn get(&self, module: &Digest, now: Timestamp) -> Option<CompileError> {
        let Refusal { why, at } = self.0.get(module)?;
        let passing = !matches!(
            why,
            CompileError::Invalid(_) | CompileError::UnknownImports(_) | CompileError::Unfit(_)
        );
        // A clock that was set back ends it too.
        let holds = !passing || (*at <= now && now < at.plus(FOR_NOW));
        if holds { copy(why) } else { None }
    }

    /// Remembers that a module was refused; says whether it does.
    pub(super) fn add(&mut self, module: Digest, why: &CompileError, now: Timestamp) -> bool {
        let Some(why) = copy(why) else { return false };
        self.0.insert(module, Refusal { why, at: now });
        while self.0.len() > MOST {
            let oldest = self.0.iter().min_by_key(|(_, refusal)| refusal.at).map(|(m, _)| *m);
            let Some(oldest) = oldest else { break };
            self.0.remove(&oldest);
        }
        true
    }

    /// Forgets a module.
    pub(super) fn forget(&mut self, module: &Digest) {
        self.0.remove(module);
    }
}

/// The same refusal, with a message of bounded length; nothing for the host's own faults.
fn copy(why: &CompileError) -> Option<CompileError> {
    let bounded = |text: &str| text[..text.floor_char_boundary(MESSAGE_BYTES)].to_owned();
    Some(match why {
        CompileError::Invalid(text) => CompileError::Invalid(bounded(text)),
        CompileError::TooSlow(bound) => CompileError::TooSlow(*bound),
        CompileError::TooLarge(bound) => CompileError::TooLarge(*bound),
        CompileError::Crashed(text) => CompileError::Crashed(bounded(text)),
        CompileError::UnknownImports(imports) => CompileError::UnknownImports(imports.clone()),
        CompileError::Unfit(text) => CompileError::Unfit(bounded(text)),
        CompileError::Host(_) => return None,
    })
}

impl Why {
    fn of(why: &CompileError) -> Option<Self> {
        match why {
            CompileError::Invalid(text) => Some(Self::Invalid(text.clone())),
            CompileError::TooSlow(bound) => Some(Self::TooSlow(*bound)),
            CompileError::TooLarge(bound) => Some(Self::TooLarge(*bound)),
            CompileError::Crashed(text) => Some(Self::Crashed(text.clone())),
            CompileError::UnknownImports(_) | CompileError::Unfit(_) | CompileError::Host(_) => {
                None
            }
        }
    }
}

impl From<Why> for CompileError {
    fn from(why: Why) -> Self {
        match why {
            Why::Invalid(text) => Self::Invalid(text),
            Why::TooSlow(bound) => Self::TooSlow(bound),
            Why::TooLarge(bound) => Self::TooLarge(bound),
            Why::Crashed(text) => Self::Crashed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Error;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn what_the_moment_had_a_part_in_is_forgotten_and_the_rest_is_not() {
        let mut refused = Refused::default();
        let [slow, invalid, unfit] = [b"slow", b"invd", b"unft"].map(|bytes| Digest::of(bytes));
        refused.add(slow, &CompileError::TooSlow(FOR_NOW), at(10));
        refused.add(invalid, &CompileError::Invalid("why".into()), at(10));
        refused.add(unfit, &CompileError::Unfit("why".into()), at(10));
        assert!(!refused.add(slow, &CompileError::Host(Error::Interrupted), at(10)));
        let written = Refused::from_bytes(&refused.to_bytes());
        let late = 10 + FOR_NOW.as_secs();
        for (refused, links) in [(&refused, true), (&written, false)] {
            assert!(matches!(refused.get(&slow, at(late - 1)), Some(CompileError::TooSlow(_))));
            assert!(refused.get(&slow, at(late)).is_none());
            assert!(refused.get(&slow, at(9)).is_none());
            assert!(matches!(
                refused.get(&invalid, at(late)),
                Some(CompileError::Invalid(why)) if why == "why"
            ));
            assert_eq!(refused.get(&unfit, at(10)).is_some(), links);
        }
        refused.forget(&invalid);
        assert!(refused.get(&invalid, at(10)).is_none());
        assert!(Refused::from_bytes(b"something else").0.is_empty());
    }

    #[test]
    fn they_are_bounded() {
        let mut refused = Refused::default();
        let long = CompileError::Invalid("é".repeat(MESSAGE_BYTES));
        for number in 0..MOST as u64 + 10 {
            refused.add(Digest::of(&number.to_le_bytes()), &long, at(number));
        }
        assert_eq!(refused.0.len(), MOST);
        assert!(refused.get(&Digest::of(&9_u64.to_le_bytes()), at(0)).is_none());
        assert!(refused.get(&Digest::of(&10_u64.to_le_bytes()), at(0)).is_some());
        assert!(refused.to_bytes().len() < MOST * (MESSAGE_BYTES + 200));
    }
}
