//! What an analysis prints.
//!
//! Owns the words for one line of a run's console. It neither collects nor stores them.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::words::words;

words! {
    /// How a line left the guest.
    Stream:
    Stdout "stdout" => "Written to standard output.";
    Stderr "stderr" => "Written to standard error.";
    Console "console" => "Passed to the runner's own `console` interface, or said by the runner.";
}

words! {
    /// How much a line matters. Standard output counts as info, standard error as error.
    Level:
    Debug "debug" => "For who looks for a mistake.";
    Info "info" => "The ordinary course of things.";
    Warn "warn" => "Something is odd.";
    Error "error" => "Something went wrong.";
}

/// One line of a run's console, masked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Line {
    /// When the line was complete.
    #[serde(rename = "time")]
    pub at: Timestamp,
    /// How it left the guest.
    pub stream: Stream,
    /// How much it matters.
    pub level: Level,
    /// The text, without its line end.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_as_the_api_shows_it() {
        let line = Line {
            at: Timestamp::from_millis(0),
            stream: Stream::Stderr,
            level: Level::Warn,
            text: "odd".into(),
        };
        let json = serde_json::to_string(&line).unwrap();
        let expected =
            r#"{"time":"1970-01-01T00:00:00.000Z","stream":"stderr","level":"warn","text":"odd"}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn every_word_survives_its_text_form() {
        for stream in Stream::ALL {
            assert_eq!(stream.as_str().parse(), Ok(*stream));
            assert_eq!(serde_json::to_value(stream).unwrap(), stream.as_str());
        }
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(*level));
            assert_eq!(serde_json::to_value(level).unwrap(), level.as_str());
        }
    }
}
