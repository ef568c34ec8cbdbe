//! Why an action is refused: where, what is wrong there, and how to write it right.

use serde_json::Value;

use crate::policy::shown;

/// An action that was not accepted, with all that its author needs to repair it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}; {advice}")]
pub struct InvalidAction {
    /// The place in the document, such as `trigger[0].cron`.
    pub at: String,
    /// Which rule is broken, and what was found.
    pub problem: String,
    /// What to write instead.
    pub advice: String,
}

impl InvalidAction {
    pub(super) fn new(
        at: impl Into<String>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { at: at.into(), problem: problem.into(), advice: advice.into() }
    }

    /// The refusal of what stands in the field `at`; none where nothing stands there.
    pub(super) fn found(
        at: impl Into<String>,
        found: Option<&Value>,
        rule: &str,
        advice: impl Into<String>,
    ) -> Self {
        let found = found.map_or_else(|| "nothing".into(), shown);
        Self::new(at, format!("{rule}; found {found}"), advice)
    }

    /// The same refusal, seen from outside of `place`.
    pub(super) fn inside(self, place: &str) -> Self {
        let at = if self.at.is_empty() { place.into() } else { format!("{place}.{}", self.at) };
        Self { at, ..self }
    }
}
