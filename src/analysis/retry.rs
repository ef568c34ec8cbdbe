//! Which failed attempts of an analysis are tried again, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Blame, FaultCode};

/// The most attempts that may be asked for.
const MAX_ATTEMPTS: u32 = 10;

/// The longest wait that may be asked for: a day.
const MAX_BACKOFF_MS: u64 = 86_400_000;

/// The rules of trying again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// All attempts together, the first one included. Attempts that were lost with their worker
    /// do not count.
    pub attempts: u32,
    /// The wait before the second attempt in milliseconds; each further wait is twice as long.
    pub backoff_ms: u64,
    /// The longest wait in milliseconds.
    pub max_backoff_ms: u64,
    /// The faults that are tried again.
    #[serde(with = "codes")]
    pub faults: Vec<FaultCode>,
}

impl Default for Retry {
    /// Faults of the host are tried again, those of the analysis never.
    fn default() -> Self {
        let of_host = |code: &FaultCode| {
            code.blame() == Blame::Host && !matches!(code, FaultCode::Lost | FaultCode::Stopped)
        };
        let faults = FaultCode::ALL.iter().copied().filter(of_host).collect();
        Self { attempts: 3, backoff_ms: 1_000, max_backoff_ms: 60_000, faults }
    }
}

/// A rule of trying again is out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("retry: {name} is {asked}; it must be from {least} to {most}")]
pub struct InvalidRetry {
    name: &'static str,
    asked: u64,
    least: u64,
    most: u64,
}

impl Retry {
    /// Checks the bounds.
    pub fn check(&self) -> Result<(), InvalidRetry> {
        let bounds = [
            ("attempts", u64::from(self.attempts), 1, u64::from(MAX_ATTEMPTS)),
            ("backoff_ms", self.backoff_ms, 1, MAX_BACKOFF_MS),
            ("max_backoff_ms", self.max_backoff_ms, self.backoff_ms, MAX_BACKOFF_MS),
        ];
        match bounds.into_iter().find(|(_, asked, least, most)| asked < least || asked > most) {
            Some((name, asked, least, most)) => Err(InvalidRetry { name, asked, least, most }),
            None => Ok(()),
        }
    }

    /// Whether this fault is ever tried again.
    pub fn covers(&self, fault: FaultCode) -> bool {
        self.attempts > 1 && self.faults.contains(&fault)
    }

    /// How long to wait before the next attempt after `tried` of them ended in `fault`; none when
    /// that was the last. `jitter` is from 0 to 1 and spreads the wait over its upper half, so
    /// that what failed together does not come back together.
    pub fn wait(&self, tried: u32, fault: FaultCode, jitter: f64) -> Option<Duration> {
        if tried >= self.attempts || !self.faults.contains(&fault) {
            return None;
        }
        let doubled = 1_u64.checked_shl(tried.saturating_sub(1)).unwrap_or(u64::MAX);
        let longest = self.backoff_ms.saturating_mul(doubled).min(self.max_backoff_ms);
        let longest = Duration::from_millis(longest);
        Some(longest / 2 + (longest / 2).mul_f64(jitter.clamp(0.0, 1.0)))
    }
}

/// Fault codes as their words.
mod codes {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::fault::FaultCode;

    pub(super) fn serialize<S: Serializer>(codes: &[FaultCode], to: S) -> Result<S::Ok, S::Error> {
        codes.serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Vec<FaultCode>, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        let code = |word: String| {
            word.parse().map_err(|()| D::Error::custom(format!("there is no fault {word:?}")))
        };
        words.into_iter().map(code).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end_with_the_attempts() {
        let retry = Retry { attempts: 5, backoff_ms: 100, max_backoff_ms: 300, ..Retry::default() };
        let waits: Vec<_> =
            (1..=5).map(|tried| retry.wait(tried, FaultCode::Internal, 1.0)).collect();
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!(waits, [millis(100), millis(200), millis(300), millis(300), None]);
        assert_eq!(retry.wait(1, FaultCode::Internal, 0.0), millis(50));
    }

    #[test]
    fn an_analysis_own_fault_is_not_tried_again_unless_asked_for() {
        assert_eq!(Retry::default().wait(1, FaultCode::Error, 0.5), None);
        assert!(Retry::default().covers(FaultCode::Internal));
        let retry: Retry = serde_json::from_str(r#"{"faults": ["error"]}"#).unwrap();
        assert!(retry.wait(1, FaultCode::Error, 0.5).is_some());
        assert!(serde_json::from_str::<Retry>(r#"{"faults": ["bad luck"]}"#).is_err());
    }

    #[test]
    fn rules_out_of_bounds_are_refused() {
        assert_eq!(Retry::default().check(), Ok(()));
        for text in [
            r#"{"attempts": 0}"#,
            r#"{"attempts": 11}"#,
            r#"{"backoff_ms": 0}"#,
            r#"{"backoff_ms": 5000, "max_backoff_ms": 4000}"#,
        ] {
            assert!(serde_json::from_str::<Retry>(text).unwrap().check().is_err(), "{text}");
        }
    }
}
