//! Points in time as pages show them.

use std::fmt;

use serde::Deserialize;

use crate::clock::Timestamp;

/// A time that the API answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(transparent)]
pub struct Moment(Timestamp);

impl Moment {
    /// As programs read it.
    pub fn iso(&self) -> String {
        self.0.to_string()
    }
}

/// For people, to the second, in UTC.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iso = self.iso();
        match (iso.get(..10), iso.get(11..19)) {
            (Some(day), Some(time)) => write!(f, "{day} {time} UTC"),
            _ => f.write_str(&iso),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_to_the_second() {
        let moment: Moment = serde_json::from_str(r#""2027-01-31T08:00:05.123Z""#).unwrap();
        assert_eq!(moment.to_string(), "2027-01-31 08:00:05 UTC");
        assert_eq!(moment.iso(), "2027-01-31T08:00:05.123Z");
    }
}
