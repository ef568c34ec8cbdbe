//! What is ahead of a trigger, for who has just written it: the next instants, and in plain words
//! what the changes of the clocks will do.

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp as Instant};
use serde::Serialize;

use super::schedule::Schedule;
use crate::clock::Timestamp;

/// How many instants are shown.
const SHOWN: usize = 5;

/// How far ahead changes of the clocks are told, in hours.
const YEAR: i64 = 366 * 24;

/// How many civil times one sentence names.
const NAMED: usize = 3;

/// What will happen by itself, seen from one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Preview {
    /// The next instants, ascending.
    pub next: Vec<Timestamp>,
    /// One sentence for each change of the clocks in the coming year that touches the trigger,
    /// ascending.
    pub changes: Vec<String>,
}

impl Preview {
    /// The first instants after `now` that `next` gives, with the sentences about `changes`.
    pub(super) fn new(
        next: impl Fn(Timestamp) -> Option<Timestamp>,
        now: Timestamp,
        changes: Vec<String>,
    ) -> Self {
        let instants = std::iter::successors(next(now), |last| next(*last));
        Self { next: instants.take(SHOWN).collect(), changes }
    }
}

/// The sentences for one schedule.
pub(super) fn changes(schedule: &Schedule, now: Timestamp) -> Vec<String> {
    let Ok(now) = Instant::from_millisecond(now.as_millis()) else { return Vec::new() };
    let Ok(end) = now.checked_add(SignedDuration::from_hours(YEAR)) else { return Vec::new() };
    let mut before = schedule.zone.to_offset(now);
    let mut sentences = Vec::new();
    for change in schedule.zone.following(now).take_while(|change| change.timestamp() < end) {
        let old = before.to_datetime(change.timestamp());
        let new = change.offset().to_datetime(change.timestamp());
        before = change.offset();
        let times = matches(schedule, old.min(new), old.max(new));
        let Some(first) = times.first() else { continue };
        let day = first.date();
        let one = times.len() == 1;
        let every = schedule.cron.is_every();
        let (verb, then) = match (new > old, every) {
            (true, true) => {
                (if one { "does not exist" } else { "do not exist" }, "it does not run then".into())
            }
            (true, false) => {
                let once = if one { "" } else { "once " };
                let then = format!("it runs {once}at {} instead", time(new, day));
                (if one { "does not exist" } else { "do not exist" }, then)
            }
            (false, every) => {
                let then = if every { "it runs both times" } else { "it runs the first time only" };
                (if one { "occurs twice" } else { "occur twice" }, then.into())
            }
        };
        let listed = list(&times, day);
        sentences.push(format!("{day}: {listed} {verb} in {}; {then}", schedule.timezone()));
    }
    sentences
}

/// The civil times from `start` up to but not at `end` that the cron matches.
fn matches(schedule: &Schedule, start: DateTime, end: DateTime) -> Vec<DateTime> {
    let after = |at: &DateTime| at.checked_add(SignedDuration::from_mins(1)).ok();
    let first = schedule.cron.next(start);
    let times = std::iter::successors(first, |at| schedule.cron.next(after(at)?));
    times.take_while(|at| *at < end).collect()
}

/// `01:00`, `01:00 and 01:30`, or `01:00, 01:05, 01:10 and 9 more`.
fn list(times: &[DateTime], day: Date) -> String {
    let shown = if times.len() > NAMED + 1 { NAMED } else { times.len() };
    let mut names = times[..shown].iter().map(|at| time(*at, day)).collect::<Vec<_>>();
    let last = match times.len() - shown {
        0 => names.pop().unwrap_or_default(),
        more => format!("{more} more"),
    };
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

/// The time of day, with its date where that is another than `day`.
fn time(at: DateTime, day: Date) -> String {
    let time = at.strftime("%H:%M");
    if at.date() == day { time.to_string() } else { format!("{time} on {}", at.date()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(cron: &str, zone: &str) -> Preview {
        let now = "2027-01-01T00:00Z".parse::<Instant>().unwrap().as_millisecond();
        Schedule::parse(cron, zone).unwrap().preview(Timestamp::from_millis(now))
    }

    #[test]
    fn five_instants_are_ahead() {
        let next = preview("0 8 * * 1", "Europe/London").next;
        let next = next.iter().map(|at| at.to_string()[..16].to_owned()).collect::<Vec<_>>();
        assert_eq!(next[0], "2027-01-04T08:00");
        assert_eq!(next[4], "2027-02-01T08:00");
        assert_eq!(next.len(), 5);
    }

    #[test]
    fn a_job_at_a_civil_time_hears_what_becomes_of_it() {
        assert_eq!(
            preview("30 1 * * *", "Europe/London").changes,
            [
                "2027-03-28: 01:30 does not exist in Europe/London; it runs at 02:00 instead",
                "2027-10-31: 01:30 occurs twice in Europe/London; it runs the first time only",
            ]
        );
        assert_eq!(
            preview("0-10 1-3 * * *", "Europe/London").changes[0],
            "2027-03-28: 01:00, 01:01, 01:02 and 8 more do not exist in Europe/London; it runs \
             once at 02:00 instead"
        );
    }

    #[test]
    fn a_job_by_elapsed_time_hears_that_it_runs_in_real_minutes() {
        assert_eq!(
            preview("*/20 1 * * *", "Europe/London").changes,
            [
                "2027-03-28: 01:00, 01:20 and 01:40 do not exist in Europe/London; it does not run \
                 then",
                "2027-10-31: 01:00, 01:20 and 01:40 occur twice in Europe/London; it runs both \
                 times",
            ]
        );
    }

    #[test]
    fn half_an_hour_and_midnight_are_changes_too() {
        assert_eq!(
            preview("15 2 * * *", "Australia/Lord_Howe").changes,
            ["2027-10-03: 02:15 does not exist in Australia/Lord_Howe; it runs at 02:30 instead"]
        );
        assert_eq!(
            preview("59 23 * * *", "America/Nuuk").changes[0],
            "2027-03-27: 23:59 does not exist in America/Nuuk; it runs at 00:00 on 2027-03-28 \
             instead"
        );
    }

    #[test]
    fn what_is_not_touched_is_not_mentioned() {
        for (cron, zone) in
            [("0 12 * * *", "Europe/London"), ("30 1 * * *", "UTC"), ("30 1 1 * *", "Europe/Paris")]
        {
            assert_eq!(preview(cron, zone).changes, Vec::<String>::new(), "{cron} {zone}");
        }
    }
}
