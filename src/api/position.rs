//! How far a reader of consoles has read, as the text of an event's id.
//!
//! Owns that text: one position for each channel, with commas between. A position is
//! `analysis:window-added-run.lines-run.all`: until when everything was read, until when what
//! listeners added was, and how many lines were read of runs that are newer or not over.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::id::Id;

/// The most runs that a position names. Of more at the same time, lines may come twice.
pub(super) const MOST_RUNS: usize = 16;

/// The most positions of one id.
const MOST_CHANNELS: usize = 16;

/// How much was read of one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    /// So many lines.
    Lines(usize),
    /// All there will be.
    All,
}

/// How far the console of one analysis was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Position {
    /// The analysis.
    pub analysis: Id,
    /// Runs that were made before then are read, but for those named.
    pub window: Timestamp,
    /// What was added to delivered runs up to then is read.
    pub added: Timestamp,
    /// Runs that are newer or not over.
    pub runs: Vec<(Id, Read)>,
}

/// How far all channels of a connection were read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Positions(Vec<Position>);

impl Positions {
    /// The position in the console of this analysis, if there is one.
    pub(super) fn of(&self, analysis: Id) -> Option<&Position> {
        self.0.iter().find(|position| position.analysis == analysis)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { analysis, window, added, runs } = self;
        write!(f, "{analysis}:{}-{}", window.as_millis(), added.as_millis())?;
        for (run, read) in runs {
            match read {
                Read::Lines(lines) => write!(f, "-{run}.{lines}")?,
                Read::All => write!(f, "-{run}.all")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (analysis, rest) = text.split_once(':').ok_or(())?;
        let mut parts = rest.split('-');
        let mut time = || {
            let millis: i64 = parts.next().ok_or(())?.parse().map_err(drop)?;
            (millis > 0).then_some(Timestamp::from_millis(millis)).ok_or(())
        };
        let (window, added) = (time()?, time()?);
        let run = |part: &str| {
            let (run, read) = part.split_once('.').ok_or(())?;
            let read = match read {
                "all" => Read::All,
                lines => Read::Lines(lines.parse().map_err(drop)?),
            };
            Ok((run.parse().map_err(drop)?, read))
        };
        let runs = parts.map(run).collect::<Result<Vec<_>, ()>>()?;
        if runs.len() > MOST_RUNS {
            return Err(());
        }
        Ok(Self { analysis: analysis.parse().map_err(drop)?, window, added, runs })
    }
}

impl FromStr for Positions {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let positions = text.split(',').map(str::parse).collect::<Result<Vec<_>, ()>>()?;
        (positions.len() <= MOST_CHANNELS).then_some(Self(positions)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position() -> impl Strategy<Value = Position> {
        let id = || any::<[u8; 12]>().prop_map(Id::from_bytes);
        let time = || (1..=i64::MAX).prop_map(Timestamp::from_millis);
        let read = prop_oneof![any::<usize>().prop_map(Read::Lines), Just(Read::All)];
        let runs = proptest::collection::vec((id(), read), 0..=MOST_RUNS);
        (id(), time(), time(), runs).prop_map(|(analysis, window, added, runs)| Position {
            analysis,
            window,
            added,
            runs,
        })
    }

    proptest! {
        #[test]
        fn positions_survive_their_text_form(all in proptest::collection::vec(position(), 1..4)) {
            let text: Vec<_> = all.iter().map(ToString::to_string).collect();
            prop_assert_eq!(text.join(",").parse(), Ok(Positions(all)));
        }

        #[test]
        fn no_text_is_too_much(text in "[ -~]{0,60}", near in "[0-9a-f]{24}:[-0-9.al,]{0,60}") {
            let (_, _) = (text.parse::<Positions>(), near.parse::<Positions>());
        }
    }

    #[test]
    fn texts_that_no_server_gave_are_refused() {
        let id = Id::from_bytes([1; 12]);
        for text in ["", "7", ",", &format!("{id}"), &format!("{id}:1"), &format!("{id}:-1-2")] {
            assert!(text.parse::<Positions>().is_err(), "{text}");
        }
        for end in ["-", "-x", &format!("-{id}"), &format!("-{id}.x"), &format!("-{id}.-1")] {
            assert!(format!("{id}:1-2{end}").parse::<Positions>().is_err(), "{end}");
        }
        let many = format!("-{id}.1").repeat(MOST_RUNS + 1);
        assert!(format!("{id}:1-2{many}").parse::<Positions>().is_err());
    }
}
