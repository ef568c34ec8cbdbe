//! What a run was about to let out: which secret, where, in which spelling, how often.
//!
//! Owns the words for it and the bounded report of one attempt. It never holds a value.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::console::Stream;
use crate::environment::redactor::Encoding;
use crate::id::Id;
use crate::words::words;

/// The most lines of one report. Each secret may leave in some thirty ways.
const MAX_LEAKS: usize = 100;

words! {
    /// Where something leaves a run.
    Sink:
    Stdout "stdout" => "Standard output.";
    Stderr "stderr" => "Standard error.";
    Console "console" => "A message to the runner's own `console` interface.";
    Result "result" => "The result.";
    Error "error" => "The message of the fault: the analysis's own, or a trap's.";
}

impl From<Stream> for Sink {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Stdout => Self::Stdout,
            Stream::Stderr => Self::Stderr,
            Stream::Console => Self::Console,
        }
    }
}

/// A secret that was masked on its way out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Leak {
    /// The secret's key.
    pub key: String,
    /// The secret.
    pub secret: Id,
    /// Where it would have left.
    pub sink: Sink,
    /// How it was spelled.
    pub encoding: Encoding,
    /// How many times.
    pub times: u64,
}

/// All that was masked in one attempt.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LeakReport {
    /// The most frequent first.
    pub leaks: Vec<Leak>,
    /// How many lines the report would have beyond its bound.
    pub omitted: usize,
}

impl LeakReport {
    /// The report of these; nothing where there are none.
    pub fn of(mut leaks: Vec<Leak>) -> Option<Self> {
        leaks.sort_by(|a, b| {
            let order = |leak: &Leak| (Reverse(leak.times), leak.sink, leak.encoding);
            order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key))
        });
        let omitted = leaks.len().saturating_sub(MAX_LEAKS);
        leaks.truncate(MAX_LEAKS);
        (!leaks.is_empty()).then_some(Self { leaks, omitted })
    }

    /// The report in sentences, one for each secret.
    pub fn warnings(&self) -> Vec<String> {
        let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for Leak { key, sink, encoding, times, .. } in &self.leaks {
            places.entry(key).or_default().push(format!("{sink} as {encoding}: {times}"));
        }
        let sentence = |(key, places): (&str, Vec<String>)| {
            format!(
                "the secret {key} was about to leave the run and was masked ({})",
                places.join(", ")
            )
        };
        let mut warnings: Vec<_> = places.into_iter().map(sentence).collect();
        if self.omitted > 0 {
            warnings.push(format!("{} more lines of this report were left out", self.omitted));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leak(key: &str, sink: Sink, times: u64) -> Leak {
        let (secret, encoding) = (Id::from_bytes([1; 12]), Encoding::Base64);
        Leak { key: key.into(), secret, sink, encoding, times }
    }

    #[test]
    fn a_report_names_each_secret_once_and_says_where_and_how_often() {
        let leaks = vec![
            leak("B", Sink::Stdout, 1),
            leak("A", Sink::Result, 2),
            leak("A", Sink::Stdout, 7),
        ];
        let report = LeakReport::of(leaks).unwrap();
        assert_eq!(report.leaks[0].times, 7);
        let masked = "was about to leave the run and was masked";
        assert_eq!(
            report.warnings(),
            [
                format!("the secret A {masked} (stdout as base64: 7, result as base64: 2)"),
                format!("the secret B {masked} (stdout as base64: 1)"),
            ]
        );
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<LeakReport>(&json).unwrap(), report);
        assert_eq!(LeakReport::of(Vec::new()), None);
    }

    #[test]
    fn a_report_is_bounded_and_keeps_what_happened_most() {
        let many = (0..MAX_LEAKS + 3).map(|n| leak(&format!("K{n}"), Sink::Stderr, n as u64));
        let report = LeakReport::of(many.collect()).unwrap();
        assert_eq!((report.leaks.len(), report.omitted), (MAX_LEAKS, 3));
        assert_eq!(report.leaks[0].key, format!("K{}", MAX_LEAKS + 2));
        assert!(report.warnings().last().unwrap().starts_with("3 more lines"));
    }
}
