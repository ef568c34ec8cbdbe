//! Schedules: a cron in a time zone, and the instants at which it fires.
//!
//! Owns the rule for days on which the clocks change, whatever the size of the change:
//! - A job whose minute or hour field is `*` or `*/n` fires by **elapsed time**: in every real
//!   minute whose civil time matches. A civil time that does not exist has no such minute; one
//!   that occurs twice has two.
//! - Every other job fires **each civil time once**: one that does not exist at the first instant
//!   after the gap, one that occurs twice on its first pass. Civil times that come to the same
//!   instant fire once there.

use jiff::SignedDuration;
use jiff::Timestamp as Instant;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde_json::{Value, json};

use super::cron::Cron;
use super::preview::{self, Preview};
use super::refusal::InvalidAction;
use super::zone;
use crate::clock::Timestamp;

/// A cron of five fields and the time zone in which it is read.
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    text: String,
    timezone: String,
    pub(super) cron: Cron,
    pub(super) zone: TimeZone,
}

impl Schedule {
    /// Reads a cron and the IANA name of its time zone.
    ///
    /// # Errors
    ///
    /// Other than five fields, a field that cannot be read, a cron that never fires, an unknown
    /// zone. The refusal's place is `cron` or `timezone`.
    pub fn parse(cron: &str, timezone: &str) -> Result<Self, InvalidAction> {
        let (text, timezone) = (cron.to_owned(), timezone.to_owned());
        Ok(Self { cron: Cron::parse(&text)?, zone: zone::parse(&timezone)?, text, timezone })
    }

    /// The cron as it was written.
    pub fn cron(&self) -> &str {
        &self.text
    }

    /// The time zone as it was written.
    pub fn timezone(&self) -> &str {
        &self.timezone
    }

    /// The first instant strictly after `after` at which it fires; none only towards the end of
    /// the calendar, in the year 9999.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = Instant::from_millisecond(after.as_millis()).ok()?;
        let next = if self.cron.is_every() { self.elapsed(after) } else { self.civil(after) };
        Some(Timestamp::from_millis(next?.as_millisecond()))
    }

    /// The coming instants, and what the changes of the clocks in the coming year will do.
    pub fn preview(&self, now: Timestamp) -> Preview {
        Preview::new(|after| self.next_after(after), now, preview::changes(self, now))
    }

    /// The object with `cron` and `timezone`.
    pub fn to_json(&self) -> Value {
        json!({"cron": self.text, "timezone": self.timezone})
    }

    /// The next instant of a job that fires each civil time once.
    ///
    /// The instants of ascending civil times never descend, and no civil time up to that of
    /// `after` has its instant later than `after`; so the first civil time after it whose instant
    /// is later is the one.
    fn civil(&self, after: Instant) -> Option<Instant> {
        let mut at = self.zone.to_datetime(after);
        loop {
            at = self.cron.next(minute_after(at)?)?;
            let instant = self.instant(at)?;
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// The next instant of a job that fires by elapsed time: the search goes through the stretches
    /// of constant offset, in which civil and elapsed time are alike.
    fn elapsed(&self, after: Instant) -> Option<Instant> {
        let mut from = after.checked_add(SignedDuration::from_nanos(1)).ok()?;
        loop {
            let offset = self.zone.to_offset(from);
            let found = self.cron.next(minute_from(offset.to_datetime(from))?);
            let found = found.and_then(|at| offset.to_timestamp(at).ok());
            match self.zone.following(from).next() {
                Some(change) if found.is_none_or(|at| at >= change.timestamp()) => {
                    from = change.timestamp();
                }
                _ => return found,
            }
        }
    }

    /// The one instant of a civil time.
    fn instant(&self, at: DateTime) -> Option<Instant> {
        match self.zone.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(at).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(at).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                let within = after.to_timestamp(at).ok()?;
                let mut changes = self.zone.following(within);
                changes.find(|change| change.offset() == after).map(|change| change.timestamp())
            }
        }
    }
}

/// The first whole minute at or after `at`.
fn minute_from(at: DateTime) -> Option<DateTime> {
    if at.second() == 0 && at.subsec_nanosecond() == 0 { Some(at) } else { minute_after(at) }
}

/// The first whole minute after the one in which `at` lies.
fn minute_after(at: DateTime) -> Option<DateTime> {
    let minute = at.date().at(at.hour(), at.minute(), 0, 0);
    minute.checked_add(SignedDuration::from_mins(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<Instant>().unwrap().as_millisecond())
    }

    /// The instants of one civil day, or of some, in UTC without their seconds.
    fn fires(cron: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
        let schedule = Schedule::parse(cron, zone).unwrap();
        let before = Timestamp::from_millis(millis(from).as_millis() - 1);
        std::iter::successors(schedule.next_after(before), |last| schedule.next_after(*last))
            .take_while(|at| *at < millis(to))
            .map(|at| at.to_string().replace(":00.000Z", ""))
            .collect()
    }

    #[test]
    fn a_civil_time_in_a_gap_fires_at_its_end_and_one_in_a_fold_on_the_first_pass() {
        let day = |cron, day: &str| {
            fires(cron, "Europe/London", &format!("{day}T00:00Z"), &format!("{day}T23:00Z"))
        };
        assert_eq!(day("0,30 1 * * *", "2027-03-28"), ["2027-03-28T01:00"]);
        assert_eq!(day("0,30 1 * * *", "2027-10-31"), ["2027-10-31T00:00", "2027-10-31T00:30"]);
        assert_eq!(day("0-10 1-2 * * *", "2027-03-28").len(), 11);
    }

    #[test]
    fn a_job_by_elapsed_time_fires_in_both_passes_and_in_no_gap() {
        let day = |cron, day: &str| {
            fires(cron, "Europe/London", &format!("{day}T00:00Z"), &format!("{day}T02:00Z"))
        };
        assert_eq!(
            day("*/30 * * * *", "2027-03-28"),
            ["2027-03-28T00:00", "2027-03-28T00:30", "2027-03-28T01:00", "2027-03-28T01:30"]
        );
        assert_eq!(day("30 * * * *", "2027-10-31"), ["2027-10-31T00:30", "2027-10-31T01:30"]);
        assert_eq!(day("*/40 1 * * *", "2027-03-28"), Vec::<String>::new());
    }

    #[test]
    fn an_instant_within_the_second_pass_is_followed_by_the_next_civil_time() {
        let schedule = Schedule::parse("30 1 * * *", "Europe/London").unwrap();
        let next = schedule.next_after(millis("2027-10-31T01:10Z"));
        assert_eq!(next, Some(millis("2027-11-01T01:30Z")));
    }

    #[test]
    fn a_day_that_samoa_skipped_fires_at_its_end() {
        let fired = fires("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00Z", "2011-12-31T00:00Z");
        assert_eq!(fired, ["2011-12-29T22:00", "2011-12-30T10:00", "2011-12-30T22:00"]);
    }

    #[test]
    fn a_schedule_is_given_back_as_it_was_written() {
        let schedule = Schedule::parse("0  8 * * MON", "europe/Rome").unwrap();
        assert_eq!(schedule.to_json(), json!({"cron": "0  8 * * MON", "timezone": "europe/Rome"}));
    }

    #[test]
    fn the_ends_of_the_calendar_have_no_next_instant() {
        let schedule = Schedule::parse("* * * * *", "Europe/London").unwrap();
        for at in [i64::MIN, i64::MAX, 253_402_207_200_000] {
            assert_eq!(schedule.next_after(Timestamp::from_millis(at)), None, "{at}");
        }
    }

    proptest! {
        #[test]
        fn the_next_instant_is_later_and_nothing_lies_between(
            cron in prop::sample::select(vec![
                "*/7 * * * *", "5 */3 * * *", "0,30 0-3 * * *", "15 2 29 2 *", "0 0 1 * 1",
            ]),
            zone in prop::sample::select(vec![
                "UTC",
                "Europe/London",
                "Australia/Lord_Howe",
                "America/Santiago",
                "Africa/Casablanca",
            ]),
            start in 0_i64..4_000_000_000_000,
            share in 0_i64..1000,
        ) {
            let schedule = Schedule::parse(cron, zone).unwrap();
            let next = schedule.next_after(Timestamp::from_millis(start)).unwrap();
            prop_assert!(next.as_millis() > start);
            let between = start + (next.as_millis() - 1 - start) / 1000 * share;
            prop_assert_eq!(schedule.next_after(Timestamp::from_millis(between)), Some(next));
        }
    }
}
