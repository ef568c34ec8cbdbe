//! Intervals: `5 minutes`, counted from an anchor.
//!
//! Owns the grammar and the steps. Seconds to weeks are fixed lengths. Months, quarters and years
//! are steps of the calendar in UTC: each is counted from the anchor itself, on its day of the
//! month or the month's last day, so that a short month shifts none that follow.

use std::time::Duration;

use jiff::tz::Offset;
use jiff::{Span, Timestamp as Instant};
use serde_json::{Value, json};

use super::fields::quoted;
use super::refusal::InvalidAction;
use crate::clock::Timestamp;
use crate::words::words;

/// The longest interval, in seconds of its fixed part, or in months: a hundred years.
const MAX_SECONDS: u64 = 100 * 366 * 86_400;
const MAX_MONTHS: u32 = 100 * 12;

words! {
    /// The unit of an interval; its plural is read too.
    Unit:
    Second "second" => "1 second.";
    Minute "minute" => "60 seconds.";
    Hour "hour" => "60 minutes.";
    Day "day" => "24 hours.";
    Week "week" => "7 days.";
    Month "month" => "A month of the calendar.";
    Quarter "quarter" => "Three months.";
    Year "year" => "Twelve months.";
}

/// How far two steps are apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Fixed(Duration),
    Months(u32),
}

/// A distance between starts, from one second up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interval {
    text: String,
    step: Step,
}

impl Interval {
    /// Reads `<number> <unit>`.
    ///
    /// # Errors
    ///
    /// Another form, an unknown unit, zero, more than a hundred years. The refusal's place is
    /// `interval`.
    pub fn parse(text: &str) -> Result<Self, InvalidAction> {
        let refused = |problem: String| {
            let advice =
                format!("write a number and one of {}, as in \"5 minutes\"", quoted(Unit::ALL));
            InvalidAction::new("interval", problem, advice)
        };
        let shape = || refused(format!("{:?} is no interval", Value::from(text)));
        let (number, unit) = text.split_once(' ').ok_or_else(shape)?;
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse::<u32>().ok().filter(|_| digits).ok_or_else(shape)?;
        let unit = unit.parse().or_else(|()| unit.strip_suffix('s').unwrap_or("").parse());
        let step = match unit.map_err(|()| shape())? {
            Unit::Second => fixed(number, 1),
            Unit::Minute => fixed(number, 60),
            Unit::Hour => fixed(number, 3600),
            Unit::Day => fixed(number, 86_400),
            Unit::Week => fixed(number, 7 * 86_400),
            Unit::Month => months(number, 1),
            Unit::Quarter => months(number, 3),
            Unit::Year => months(number, 12),
        };
        match step {
            Some(step) if number > 0 => Ok(Self { text: text.to_owned(), step }),
            _ => Err(refused("an interval is from 1 second to 100 years long".into())),
        }
    }

    /// The first instant strictly after `after` that lies one or more steps after `anchor`; none
    /// beyond the calendar's end.
    pub fn next_after(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match self.step {
            Step::Fixed(step) => {
                let step = i64::try_from(step.as_millis()).ok()?;
                let passed = after.as_millis().checked_sub(anchor.as_millis())?.max(0);
                let next = (passed / step + 1).checked_mul(step)?;
                anchor.as_millis().checked_add(next).map(Timestamp::from_millis)
            }
            Step::Months(step) => {
                let start = civil(anchor)?;
                let end = civil(after.max(anchor))?;
                let years = i32::from(end.year()) - i32::from(start.year());
                let passed = years * 12 + i32::from(end.month()) - i32::from(start.month());
                let step = i32::try_from(step).ok()?;
                let first = (passed / step).max(1);
                (first..=first + 1).find_map(|count| {
                    let moved = Span::new().try_months(count.checked_mul(step)?).ok()?;
                    let at = Offset::UTC.to_timestamp(start.checked_add(moved).ok()?).ok()?;
                    let at = Timestamp::from_millis(at.as_millisecond());
                    (at > after).then_some(at)
                })
            }
        }
    }

    /// The object with `interval`.
    pub fn to_json(&self) -> Value {
        json!({"interval": self.text})
    }
}

fn fixed(number: u32, seconds: u64) -> Option<Step> {
    let seconds = u64::from(number) * seconds;
    (seconds <= MAX_SECONDS).then(|| Step::Fixed(Duration::from_secs(seconds)))
}

fn months(number: u32, months: u32) -> Option<Step> {
    number.checked_mul(months).filter(|months| *months <= MAX_MONTHS).map(Step::Months)
}

fn civil(at: Timestamp) -> Option<jiff::civil::DateTime> {
    Some(Offset::UTC.to_datetime(Instant::from_millisecond(at.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<Instant>().unwrap().as_millisecond())
    }

    fn next(interval: &str, anchor: &str, after: &str) -> String {
        let interval = Interval::parse(interval).unwrap();
        let next = interval.next_after(millis(anchor), millis(after)).unwrap();
        next.to_string().replace(":00.000Z", "")
    }

    #[test]
    fn fixed_steps_count_from_the_anchor() {
        let anchor = "2027-01-01T00:02Z";
        assert_eq!(next("5 minutes", anchor, anchor), "2027-01-01T00:07");
        assert_eq!(next("5 minutes", anchor, "2027-01-01T00:07Z"), "2027-01-01T00:12");
        assert_eq!(next("1 hour", anchor, "2029-05-05T05:05Z"), "2029-05-05T06:02");
        assert_eq!(next("2 weeks", anchor, "2027-01-10T00:00Z"), "2027-01-15T00:02");
        assert_eq!(next("1 day", anchor, "2026-01-01T00:00Z"), "2027-01-02T00:02");
    }

    #[test]
    fn a_short_month_shifts_none_that_follow() {
        let anchor = "2027-01-31T10:00Z";
        assert_eq!(next("1 month", anchor, anchor), "2027-02-28T10:00");
        assert_eq!(next("1 month", anchor, "2027-02-28T10:00Z"), "2027-03-31T10:00");
        assert_eq!(next("1 month", anchor, "2027-03-30T00:00Z"), "2027-03-31T10:00");
        assert_eq!(next("1 quarter", anchor, "2028-01-01T00:00Z"), "2028-01-31T10:00");
        assert_eq!(next("2 years", "2024-02-29T00:00Z", "2024-03-01T00:00Z"), "2026-02-28T00:00");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "5",
            "minutes",
            "5minutes",
            "5  minutes",
            "-5 minutes",
            "+5 minutes",
            "1.5 hours",
            "0 seconds",
            "5 minutess",
            "5 fortnights",
            "5 Minutes",
            "101 years",
            "5 minutes ",
            "4294967296 seconds",
            "3162240001 seconds",
        ] {
            let refusal = Interval::parse(text).unwrap_err().to_string();
            assert!(refusal.starts_with("interval: "), "{text:?}");
            assert!(refusal.ends_with(r#"as in "5 minutes""#), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_next_step_is_later_and_nothing_lies_between(
            number in 1_u32..40,
            unit in prop::sample::select(Unit::ALL),
            anchor in 0_i64..4_000_000_000_000,
            ahead in 0_i64..400_000_000_000,
            share in 0_i64..1000,
        ) {
            let interval = Interval::parse(&format!("{number} {unit}")).unwrap();
            let (anchor, after) = (Timestamp::from_millis(anchor), anchor + ahead);
            let next = interval.next_after(anchor, Timestamp::from_millis(after)).unwrap();
            prop_assert!(next.as_millis() > after);
            let between = after + (next.as_millis() - 1 - after) / 1000 * share;
            let again = interval.next_after(anchor, Timestamp::from_millis(between));
            prop_assert_eq!(again, Some(next));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "([0-9]{0,12} ?[a-z]{0,8}|\\PC{0,12})") {
            if let Ok(interval) = Interval::parse(&text) {
                let start = Timestamp::from_millis(0);
                prop_assert!(interval.next_after(start, start) > Some(start));
            }
        }
    }
}
