//! Time zones by their IANA names.
//!
//! Owns which names are accepted and what a wrong one might have meant. The rules of the zones
//! are jiff's.

use jiff::tz::{self, TimeZone};

use super::refusal::InvalidAction;
use crate::tag::is_label;

/// The longest name, in characters; the longest that exists has 32.
const MAX_LENGTH: usize = 64;

/// The zone called `name`, in any case. Refused are names that the database does not have, and
/// its copies that count leap seconds.
pub(super) fn parse(name: &str) -> Result<TimeZone, InvalidAction> {
    let refused =
        |problem: String, advice: String| Err(InvalidAction::new("timezone", problem, advice));
    if !is_label(name, MAX_LENGTH) {
        let rule = format!("a time zone's name has 1 to {MAX_LENGTH} characters");
        return refused(rule, "write for example \"Europe/London\" or \"UTC\"".into());
    }
    let plain = |name: &str| !name.starts_with("right/") && !name.starts_with("posix/");
    match TimeZone::get(name) {
        Ok(zone) if plain(&name.to_ascii_lowercase()) && !zone.is_unknown() => Ok(zone),
        _ => {
            let nearest = nearest(name);
            refused(format!("there is no time zone {name:?}"), format!("did you mean {nearest:?}?"))
        }
    }
}

/// The name in the database that is written most like `name`, with or without its continent.
fn nearest(name: &str) -> String {
    let wanted = name.to_ascii_lowercase().replace(' ', "_");
    let distance_to = |known: &str| {
        let known = known.to_ascii_lowercase();
        let city = known.rsplit('/').next().unwrap_or(&known);
        distance(&wanted, &known).min(distance(&wanted, city))
    };
    let known = tz::db().available().map(|known| known.to_string());
    known.min_by_key(|known| distance_to(known)).unwrap_or_else(|| "UTC".into())
}

/// How many characters must be changed, added or removed to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let mut row = (0..=b.chars().count()).collect::<Vec<_>>();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_gets_the_nearest_one() {
        for (name, meant) in [
            ("Europe/Lodnon", "Europe/London"),
            ("london", "Europe/London"),
            ("New York", "America/New_York"),
            ("Asia/Calcuta", "Asia/Calcutta"),
        ] {
            let refusal = parse(name).unwrap_err();
            assert_eq!(
                refusal.to_string(),
                format!("timezone: there is no time zone {name:?}; did you mean {meant:?}?")
            );
        }
    }

    #[test]
    fn every_name_that_is_offered_is_accepted() {
        for name in ["UTC", "Etc/GMT+5", "europe/london", "America/Argentina/ComodRivadavia"] {
            assert!(parse(name).is_ok(), "{name}");
        }
        for name in ["", "+02:00", "right/UTC", "posix/UTC", "../etc/passwd", "a\0", "Etc/Unknown"]
        {
            assert!(parse(name).is_err(), "{name}");
        }
    }
}
