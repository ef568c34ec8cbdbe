//! Schedules against an independent expansion: every zone of the database, all changes of a year.
//!
//! The expansion goes through every minute of UTC around each change, reads the civil time of
//! each by the zone's offset, and applies the rule to that list. It shares no code with the walk:
//! no ambiguous offsets, no list of changes, fields matched by hand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use jiff::tz::{self, TimeZone};
use jiff::{SignedDuration, Timestamp as Instant};

use super::Schedule;
use crate::clock::Timestamp;

/// A cron, whether it fires by elapsed time, and what it matches.
type Pattern = (&'static str, bool, fn(DateTime) -> bool);

const PATTERNS: [Pattern; 10] = [
    ("30 1 * * *", false, |t| (t.hour(), t.minute()) == (1, 30)),
    ("0,30 1 * * *", false, |t| t.hour() == 1 && t.minute() % 30 == 0),
    ("*/20 1 * * *", true, |t| t.hour() == 1 && t.minute() % 20 == 0),
    ("*/30 * * * *", true, |t| t.minute() % 30 == 0),
    ("0 0 * * *", false, |t| (t.hour(), t.minute()) == (0, 0)),
    ("15 2 * * 0", false, |t| {
        (t.hour(), t.minute()) == (2, 15) && t.weekday() == jiff::civil::Weekday::Sunday
    }),
    ("0 3 1 * *", false, |t| (t.day(), t.hour(), t.minute()) == (1, 3, 0)),
    ("5 */2 * * *", true, |t| t.hour() % 2 == 0 && t.minute() == 5),
    ("59 23 * * *", false, |t| (t.hour(), t.minute()) == (23, 59)),
    ("0-10 1-3 * * *", false, |t| (1..=3).contains(&t.hour()) && t.minute() <= 10),
];

/// One real minute: when it begins, and what a clock on the wall shows.
type Minute = (i64, DateTime);

/// Every minute from `start` to `end`, in seconds since the epoch.
fn minutes(zone: &TimeZone, start: i64, end: i64) -> Vec<Minute> {
    let civil = |at| zone.to_datetime(Instant::from_second(at).unwrap());
    (start..end).step_by(60).map(|at| (at, civil(at))).collect()
}

/// The seconds at which a job fires within `minutes`, by the rule as it is written.
fn expand(minutes: &[Minute], (_, elapsed, matches): Pattern) -> BTreeSet<i64> {
    if elapsed {
        return minutes.iter().filter(|(_, civil)| matches(*civil)).map(|(at, _)| *at).collect();
    }
    let mut first_pass = BTreeMap::new();
    for (at, civil) in minutes {
        first_pass.entry(*civil).or_insert(*at);
    }
    let mut fires = BTreeSet::new();
    let (mut civil, last) = (minutes[0].1, minutes[minutes.len() - 1].1);
    while civil <= last {
        if matches(civil) {
            // The wall shows this time, or is past it when it first shows a later one.
            fires.insert(match first_pass.get(&civil) {
                Some(at) => *at,
                None => minutes.iter().find(|(_, shown)| *shown > civil).unwrap().0,
            });
        }
        civil = civil.checked_add(SignedDuration::from_mins(1)).unwrap();
    }
    fires
}

/// The days of a year at whose two ends the offset differs, as spans of seconds with a day around.
fn spans(zone: &TimeZone, year: i16) -> Vec<(i64, i64)> {
    const DAY: i64 = 86_400;
    let second = |year| jiff::civil::date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp();
    let (start, end) = (second(year).as_second(), second(year + 1).as_second());
    let offset = |at| zone.to_offset(Instant::from_second(at).unwrap());
    let days = (start..end).step_by(DAY as usize);
    days.filter(|day| offset(*day) != offset(day + DAY))
        .map(|day| (day - DAY, day + 2 * DAY))
        .collect()
}

fn fired(schedule: &Schedule, start: i64, end: i64) -> BTreeSet<i64> {
    let before = Timestamp::from_millis(start * 1000 - 1);
    std::iter::successors(schedule.next_after(before), |last| schedule.next_after(*last))
        .map(|at| at.as_millis() / 1000)
        .take_while(|at| *at < end)
        .collect()
}

#[test]
fn every_zone_agrees_with_an_independent_expansion_around_every_change_of_2027() {
    let (mut zones, mut changes, mut instants) = (0, 0, 0);
    // Most zones share their clocks with others.
    let mut expanded = BTreeMap::new();
    for name in tz::db().available() {
        let Ok(zone) = tz::db().get(name.as_str()) else { continue };
        let schedules = PATTERNS.map(|pattern| Schedule::parse(pattern.0, name.as_str()));
        if schedules.iter().any(Result::is_err) {
            continue;
        }
        zones += 1;
        let mut spans = spans(&zone, 2027);
        changes += spans.len();
        // Where nothing changes, an ordinary span is compared, with the first of a month in it.
        if spans.is_empty() {
            spans.push((1_801_353_600, 1_801_353_600 + 3 * 86_400));
        }
        for (start, end) in spans {
            let expected = expanded
                .entry(minutes(&zone, start, end))
                .or_insert_with_key(|minutes| PATTERNS.map(|pattern| expand(minutes, pattern)));
            for ((schedule, (cron, ..)), expected) in schedules.iter().zip(PATTERNS).zip(expected) {
                let found = fired(schedule.as_ref().unwrap(), start, end);
                assert_eq!(&found, expected, "{name} {cron} from {start}");
                instants += found.len();
            }
        }
    }
    assert!(zones > 400 && changes > 100, "{zones} zones and {changes} changes");
    println!("dst: {zones} zones, {changes} changes, {instants} instants, disagreements 0");
}
