//! The five fields of a cron expression, and which civil times they match.
//!
//! Owns the syntax, by croner, and the search for the next match on a calendar without time
//! zones. It knows no instants: what becomes of a match around a change of the clocks is
//! [`Schedule`](super::Schedule)'s business.
//!
//! A day matches by its day of month and its weekday. If one of the two fields is `*`, the other
//! decides; if both are restricted, either is enough. `*/n` restricts. croner's `L`, `W`, `#` and
//! `+` are read too: last day, nearest working day, n-th weekday, and "both, not either".

use croner::parser::{CronParser, Seconds, Year};
use croner::{CronComponent, CronPattern, Weekday};
use jiff::civil::{Date, DateTime, date};

use super::refusal::InvalidAction;
use crate::tag::is_label;

/// The longest cron expression, in characters.
const MAX_LENGTH: usize = 200;

/// How far ahead a match is sought, in years. The rarest pattern that fires at all, a 29 February
/// on one weekday, comes again within 40.
const HORIZON: i16 = 50;

/// The fields, in the order in which they are written.
const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];

const ADVICE: &str = "write five fields: minute, hour, day of month, month, day of week, as in \
                      \"30 8 * * 1-5\"";

/// A cron expression of five fields that matches at least one civil time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cron {
    minutes: u64,
    hours: u32,
    months: u16,
    days: CronPattern,
    every: bool,
}

impl Cron {
    /// Reads `text`. Refused: other than five fields, what croner cannot read, and what matches no
    /// day that any calendar has.
    pub fn parse(text: &str) -> Result<Self, InvalidAction> {
        let refused =
            |problem: String, advice: &str| Err(InvalidAction::new("cron", problem, advice));
        if !is_label(text, MAX_LENGTH) {
            let rule = format!(
                "a cron has 1 to {MAX_LENGTH} characters, none of them a control character"
            );
            return refused(rule, ADVICE);
        }
        let fields = text.split_whitespace().collect::<Vec<_>>();
        if text.trim_start().starts_with('@') {
            let advice = match text.trim().to_ascii_lowercase().as_str() {
                "@yearly" | "@annually" => r#"write "0 0 1 1 *""#,
                "@monthly" => r#"write "0 0 1 * *""#,
                "@weekly" => r#"write "0 0 * * 0""#,
                "@daily" | "@midnight" => r#"write "0 0 * * *""#,
                "@hourly" => r#"write "0 * * * *""#,
                _ => ADVICE,
            };
            return refused(format!("{text:?} is a nickname, no cron"), advice);
        }
        if fields.len() != FIELDS.len() {
            let problem = format!("a cron has five fields; found {}: {text:?}", fields.len());
            return refused(problem, ADVICE);
        }
        let mut pattern = match parser().parse(text) {
            Ok(cron) => cron.pattern,
            Err(error) => {
                let at = fields.iter().enumerate().find(|(at, field)| {
                    let mut alone = ["*"; FIELDS.len()];
                    alone[*at] = field;
                    parser().parse(&alone.join(" ")).is_err()
                });
                let place = at.map_or_else(
                    || format!("{text:?}"),
                    |(at, field)| format!("the {} {field:?}", FIELDS[at]),
                );
                return refused(format!("{place} cannot be read: {error}"), ADVICE);
            }
        };
        let every = |field: &str| field == "*" || field.starts_with("*/") && !field.contains(',');
        // The list of all years is what makes a pattern large, and five fields have no year.
        pattern.years = CronComponent::default();
        let cron = Self {
            minutes: bits(&pattern.minutes),
            hours: bits(&pattern.hours) as u32,
            months: bits(&pattern.months) as u16,
            every: every(fields[0]) || every(fields[1]),
            days: pattern,
        };
        if cron.next(date(2000, 1, 1).at(0, 0, 0, 0)).is_none() {
            let advice = "choose a day that one of its months has";
            return refused(format!("{text:?} never fires"), advice);
        }
        Ok(cron)
    }

    /// Whether the minute or the hour field is `*` or `*/n`, so that the job fires by elapsed time.
    pub const fn is_every(&self) -> bool {
        self.every
    }

    /// The first matching minute at or after `from`, whose seconds are not looked at; none within
    /// [`HORIZON`] years or before the calendar's end.
    pub fn next(&self, from: DateTime) -> Option<DateTime> {
        let last = from.year().saturating_add(HORIZON);
        let mut day = from.date();
        let mut earliest = (from.hour(), from.minute());
        while day.year() <= last {
            if !self.matches_month(day) {
                day = day.last_of_month().tomorrow().ok()?;
            } else if self.matches_day(day)
                && let Some((hour, minute)) = self.time(earliest)
            {
                return Some(day.at(hour, minute, 0, 0));
            } else {
                day = day.tomorrow().ok()?;
            }
            earliest = (0, 0);
        }
        None
    }

    /// The first matching time of a day at or after an hour and a minute.
    fn time(&self, (hour, minute): (i8, i8)) -> Option<(i8, i8)> {
        (hour..24).filter(|at| self.hours >> at & 1 == 1).find_map(|at| {
            let from = if at == hour { minute } else { 0 };
            let left = self.minutes >> from;
            (left != 0).then(|| (at, from + left.trailing_zeros() as i8))
        })
    }

    fn matches_month(&self, day: Date) -> bool {
        self.months >> day.month() & 1 == 1
    }

    fn matches_day(&self, day: Date) -> bool {
        let unsigned = |number: i8| u32::from(number.unsigned_abs());
        let weekday = day.weekday().to_sunday_zero_offset();
        let weekday = Weekday::from_days_from_sunday(unsigned(weekday));
        let (year, month, at) = (day.year().into(), unsigned(day.month()), unsigned(day.day()));
        self.days.day_match(year, month, at, weekday).unwrap_or(false)
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

/// One bit for each value of a field, all of which are below 60.
fn bits(field: &CronComponent) -> u64 {
    field.values().into_iter().fold(0, |bits, value| bits | 1 << value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn next(cron: &str, from: &str) -> String {
        Cron::parse(cron).unwrap().next(from.parse().unwrap()).unwrap().to_string()
    }

    fn refused(cron: &str) -> String {
        Cron::parse(cron).unwrap_err().to_string()
    }

    #[test]
    fn the_next_match_skips_hours_days_and_months() {
        assert_eq!(next("30 8 * * *", "2027-01-01T08:30"), "2027-01-01T08:30:00");
        assert_eq!(next("30 8 * * *", "2027-01-01T08:31"), "2027-01-02T08:30:00");
        assert_eq!(next("0,45 9 * * *", "2027-01-01T09:44"), "2027-01-01T09:45:00");
        assert_eq!(next("0 0 1 JUL *", "2027-08-01T00:00"), "2028-07-01T00:00:00");
        assert_eq!(next("0 0 29 2 *", "2097-01-01T00:00"), "2104-02-29T00:00:00");
        assert_eq!(next("0 9 * * Wed", "2027-01-01T00:00"), "2027-01-06T09:00:00");
        assert_eq!(next("0 0 L * *", "2027-02-01T00:00"), "2027-02-28T00:00:00");
    }

    #[test]
    fn two_restricted_day_fields_add_up_and_a_star_leaves_the_other_alone() {
        assert_eq!(next("0 0 13 * 5", "2027-01-01T00:01"), "2027-01-08T00:00:00");
        assert_eq!(next("0 0 13 * 5", "2027-01-09T00:00"), "2027-01-13T00:00:00");
        assert_eq!(next("0 0 13 * *", "2027-01-01T00:01"), "2027-01-13T00:00:00");
        assert_eq!(next("0 0 */10 * 0", "2027-01-04T00:00"), "2027-01-10T00:00:00");
        assert_eq!(next("0 0 */10 * 0", "2027-01-11T00:00"), "2027-01-11T00:00:00");
        assert_eq!(next("0 0 13 * +5", "2027-01-01T00:01"), "2027-08-13T00:00:00");
    }

    #[test]
    fn jobs_by_elapsed_time_are_those_with_a_star_for_minute_or_hour() {
        for (cron, every) in [
            ("* 1 * * *", true),
            ("*/20 1 * * *", true),
            ("5 */2 * * *", true),
            ("0 * * * *", true),
            ("0,30 1 * * *", false),
            ("0-59/5 1 * * *", false),
            ("*/30,7 1 * * *", false),
            ("5 1 */2 * *", false),
        ] {
            assert_eq!(Cron::parse(cron).unwrap().is_every(), every, "{cron}");
        }
    }

    #[test]
    fn what_never_fires_is_refused() {
        for cron in ["0 0 30 2 *", "0 0 31 11 *", "0 0 31 4,6,9 *", ", * * * *"] {
            assert!(refused(cron).contains("never fires"), "{cron}");
        }
        for rare in ["0 0 29 2 *", "0 0 29 2 +1", "0 0 30 1,2 *", "0 0 30 2 1"] {
            assert!(Cron::parse(rare).is_ok(), "{rare}");
        }
    }

    #[test]
    fn a_refusal_names_the_field_and_the_form() {
        assert!(refused("61 0 * * *").starts_with("cron: the minute \"61\" cannot be read"));
        assert!(refused("0 0 * foo *").starts_with("cron: the month \"foo\" cannot be read"));
        assert!(refused("@daily").ends_with(r#"is a nickname, no cron; write "0 0 * * *""#));
        assert!(refused("0 0 * * * *").contains("five fields; found 6"));
        assert!(refused("0 0 * *").contains("minute, hour, day of month, month, day of week"));
        for text in ["", "0 0 * *\n*", "\0", &"0".repeat(300)] {
            assert!(refused(text).contains("1 to 200 characters"), "{text:?}");
        }
    }

    /// Five fields of few values, or anything at all.
    fn text() -> impl Strategy<Value = String> {
        let field =
            "(\\*|\\*/[1-9]|[0-9]{1,2}|[0-4]-[5-9](/[2-3])?|[1-4],[5-9]|[1-6]L|[1-6]#[1-5])";
        prop_oneof![
            prop::collection::vec(field, 5).prop_map(|fields| fields.join(" ")),
            "([0-9*/,LW#?+-]{1,6}|[A-Z@]{1,4}|\\PC{1,3})( [0-9*/,LW#?+-]{1,6}){0,6}",
            "\\PC{0,20}",
        ]
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in text()) {
            if let Ok(cron) = Cron::parse(&text) {
                let found = cron.next(date(2027, 1, 1).at(0, 0, 0, 0)).unwrap();
                prop_assert_eq!(cron.next(found), Some(found));
            }
        }
    }
}
