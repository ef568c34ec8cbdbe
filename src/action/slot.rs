//! Slots: every due instant of an action gets exactly one outcome.
//!
//! Owns the plan: which of the instants between the first due one and the present start now,
//! which are made up for, which are missed. It neither records nor starts them.

use std::collections::VecDeque;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::rules::{Misfire, StartRules};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::words::words;

/// How late a start may be and still count as on time.
pub const GRACE: Duration = Duration::from_secs(5);

/// How many instants one plan goes through before it skips what lies between.
const MAX_WALK: u64 = 100_000;

words! {
    /// What became of one instant.
    SlotOutcome:
    Ran "ran" => "Started on time.";
    CaughtUp "caught_up" => "Started late, to make up for it.";
    Skipped "skipped" => "Not started, because the run before it was not over.";
    Missed "missed" => "Not started: nothing could start then, and the misfire rule says no.";
    Failed "failed" => "Was to start and could not.";
}

/// Consecutive instants that were missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MissedRange {
    /// The earliest.
    pub first: Timestamp,
    /// The latest; where there are `more`, it may be a moment between the latest and the first
    /// start.
    pub last: Timestamp,
    /// How many were counted.
    pub instants: u64,
    /// Whether there are more: the plan counts 100,000, then skips to what it makes up for.
    pub more: bool,
}

/// What to do with the instants that are due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What to start, ascending: [`SlotOutcome::CaughtUp`], then [`SlotOutcome::Ran`].
    pub starts: Vec<(Timestamp, SlotOutcome)>,
    /// What is missed; all of it before the starts.
    pub missed: Option<MissedRange>,
    /// The first instant that is not due yet.
    pub next: Option<Timestamp>,
}

/// The plan at `now` for an action whose first instant without an outcome is `due`. `next` gives
/// the first instant strictly after another.
///
/// An instant is on time up to [`GRACE`] after it, and starts. What becomes of late ones is the
/// misfire rule's: `skip` misses them, `once` makes up for the latest, `all` for the latest
/// [`catch_up_limit`](StartRules::catch_up_limit).
pub fn plan(
    due: Timestamp,
    mut next: impl FnMut(Timestamp) -> Option<Timestamp>,
    now: Timestamp,
    rules: StartRules,
) -> Plan {
    let kept = match rules.misfire {
        Misfire::Skip => 0,
        Misfire::Once => 1,
        Misfire::All => rules.catch_up_limit as usize,
    };
    let mut latest = VecDeque::new();
    let mut missed: Option<MissedRange> = None;
    let mut miss = |instant: Timestamp| {
        let range = missed.get_or_insert(MissedRange {
            first: instant,
            last: instant,
            instants: 0,
            more: false,
        });
        range.last = instant;
        range.instants += 1;
    };
    let mut walked = 0;
    let mut skipped_to = None;
    let mut at = Some(due);
    while let Some(instant) = at.filter(|instant| late(*instant, now)) {
        latest.push_back(instant);
        if latest.len() > kept {
            latest.pop_front().into_iter().for_each(&mut miss);
        }
        walked += 1;
        at = next(instant);
        if walked == MAX_WALK
            && let Some(resumed) = skip_ahead(due, instant, kept, now, &mut next)
        {
            latest.drain(..).for_each(&mut miss);
            skipped_to = Some(resumed);
            at = next(resumed);
        }
    }
    let mut starts =
        latest.into_iter().map(|instant| (instant, SlotOutcome::CaughtUp)).collect::<Vec<_>>();
    while let Some(instant) = at.filter(|instant| *instant <= now) {
        starts.push((instant, SlotOutcome::Ran));
        at = next(instant);
    }
    let missed = missed.map(|range| MissedRange {
        last: skipped_to.map_or(range.last, |resumed| range.last.max(resumed)),
        more: skipped_to.is_some(),
        ..range
    });
    Plan { starts, missed, next: at }
}

/// Whether `now` is past the [`GRACE`] of an instant.
fn late(instant: Timestamp, now: Timestamp) -> bool {
    instant.plus(GRACE) < now
}

/// Where to go on after a long walk from `due` to `reached`: so long before `now` that, at the
/// mean distance so far, twice as many instants follow as are `kept`, and in any case a late one.
/// None if that is not ahead.
fn skip_ahead(
    due: Timestamp,
    reached: Timestamp,
    kept: usize,
    now: Timestamp,
    mut next: impl FnMut(Timestamp) -> Option<Timestamp>,
) -> Option<Timestamp> {
    let walked = reached.as_millis().saturating_sub(due.as_millis());
    let wanted = i64::try_from(2 * (kept + 1)).unwrap_or(i64::MAX);
    let mut back = (walked / MAX_WALK as i64).saturating_mul(wanted).max(1);
    loop {
        let target = now.as_millis().saturating_sub(GRACE.as_millis() as i64 + 1);
        let target = Timestamp::from_millis(target.saturating_sub(back));
        if target <= reached {
            return None;
        }
        if next(target).is_some_and(|instant| late(instant, now)) {
            return Some(target);
        }
        back = back.saturating_mul(2);
    }
}

/// How long after its instant an analysis of an action starts, below `seconds`: the same delay
/// each time, another for each pair.
pub fn spread(action: Id, analysis: Id, seconds: u32) -> Duration {
    if seconds == 0 {
        return Duration::ZERO;
    }
    let digest = Sha256::new().chain_update(action.as_bytes()).chain_update(analysis.as_bytes());
    let digest = digest.finalize();
    let drawn = digest.iter().take(8).fold(0, |drawn, byte| drawn << 8 | u64::from(*byte));
    Duration::from_millis(drawn % (u64::from(seconds) * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn every(step: i64) -> impl FnMut(Timestamp) -> Option<Timestamp> {
        move |after| Some(at((after.as_millis().div_euclid(step) + 1) * step))
    }

    fn rules(misfire: Misfire, catch_up_limit: u32) -> StartRules {
        StartRules { misfire, catch_up_limit, ..StartRules::default() }
    }

    fn missed(first: i64, last: i64, instants: u64) -> Option<MissedRange> {
        Some(MissedRange { first: at(first), last: at(last), instants, more: false })
    }

    #[test]
    fn what_is_not_due_waits() {
        let plan = plan(at(MINUTE), every(MINUTE), at(MINUTE - 1), StartRules::default());
        assert_eq!(plan, Plan { starts: vec![], missed: None, next: Some(at(MINUTE)) });
    }

    #[test]
    fn an_instant_is_on_time_for_five_seconds() {
        let plan = |now| plan(at(MINUTE), every(MINUTE), at(now), rules(Misfire::Skip, 1));
        assert_eq!(plan(MINUTE).starts, [(at(MINUTE), SlotOutcome::Ran)]);
        assert_eq!(plan(MINUTE + 5000).starts, [(at(MINUTE), SlotOutcome::Ran)]);
        let late = plan(MINUTE + 5001);
        assert_eq!((late.starts, late.missed), (vec![], missed(MINUTE, MINUTE, 1)));
    }

    #[test]
    fn the_misfire_rule_says_what_late_instants_become() {
        let now = at(5 * MINUTE + 1);
        let plan = |misfire| plan(at(MINUTE), every(MINUTE), now, rules(misfire, 2));
        let ran = (at(5 * MINUTE), SlotOutcome::Ran);
        let late = |minute| (at(minute * MINUTE), SlotOutcome::CaughtUp);
        let skip = plan(Misfire::Skip);
        assert_eq!((skip.starts, skip.missed), (vec![ran], missed(MINUTE, 4 * MINUTE, 4)));
        let once = plan(Misfire::Once);
        assert_eq!((once.starts, once.missed), (vec![late(4), ran], missed(MINUTE, 3 * MINUTE, 3)));
        let all = plan(Misfire::All);
        assert_eq!(all.starts, [late(3), late(4), ran]);
        assert_eq!((all.missed, all.next), (missed(MINUTE, 2 * MINUTE, 2), Some(at(6 * MINUTE))));
    }

    #[test]
    fn an_outage_of_years_is_counted_up_to_a_bound() {
        let mut asked = 0_u64;
        let mut second = every(1000);
        let counted = |after| {
            asked += 1;
            second(after)
        };
        let now = at(1_000_000_000_000);
        let plan = plan(at(0), counted, now, rules(Misfire::All, 10));
        let missed = plan.missed.unwrap();
        assert!(missed.more && missed.instants >= MAX_WALK, "{missed:?}");
        let caught_up = plan.starts.iter().filter(|(_, outcome)| *outcome == SlotOutcome::CaughtUp);
        assert_eq!(caught_up.map(|(at, _)| now.as_millis() - at.as_millis()).max(), Some(15_000));
        assert_eq!(plan.starts.len(), 10 + 6);
        assert!(asked < MAX_WALK + 100, "{asked}");
    }

    #[test]
    fn after_a_long_walk_the_latest_late_instant_is_found_however_far_it_lies_back() {
        // Every second up to a day, then one instant in the middle of a long silence.
        let (day, lone) = (200_000_000, 500_000_000_000);
        let next = |after: Timestamp| match every(1000)(after) {
            Some(instant) if instant.as_millis() <= day => Some(instant),
            _ => (after < at(lone)).then_some(at(lone)),
        };
        let plan = plan(at(0), next, at(1_000_000_000_000), rules(Misfire::Once, 1));
        assert_eq!(plan.starts, [(at(lone), SlotOutcome::CaughtUp)]);
        assert!(plan.missed.unwrap().more && plan.missed.unwrap().last < at(lone));
    }

    #[test]
    fn a_trigger_without_a_next_instant_ends() {
        let plan = plan(at(0), |_| None, at(1), StartRules::default());
        assert_eq!(
            plan,
            Plan { starts: vec![(at(0), SlotOutcome::Ran)], missed: None, next: None }
        );
    }

    #[test]
    fn a_spread_is_below_its_seconds_and_the_same_each_time() {
        let id = |byte| Id::from_bytes([byte; 12]);
        assert_eq!(spread(id(1), id(2), 0), Duration::ZERO);
        let delays = (0..100).map(|byte| spread(id(1), id(byte), 60)).collect::<Vec<_>>();
        assert!(delays.iter().all(|delay| *delay < Duration::from_secs(60)));
        assert!(delays.iter().any(|delay| *delay > Duration::from_secs(40)));
        assert_eq!(spread(id(1), id(2), 60), delays[2]);
        assert_ne!(spread(id(2), id(1), 60), delays[2]);
    }

    #[test]
    fn every_outcome_survives_its_text_form() {
        for outcome in SlotOutcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(*outcome));
        }
    }

    proptest! {
        #[test]
        fn every_due_instant_has_exactly_one_outcome(
            step in 1_i64..100_000,
            due in 0_i64..1_000_000,
            late in 0_i64..10_000_000,
            misfire in prop::sample::select(Misfire::ALL),
            limit in 1_u32..50,
        ) {
            let (due, now) = (due / step * step, due + late);
            let plan = plan(at(due), every(step), at(now), rules(misfire, limit));
            let counted = plan.missed.map_or(0, |range| range.instants);
            prop_assume!(!plan.missed.is_some_and(|range| range.more));
            let all = ((now - due) / step + 1) as u64;
            prop_assert_eq!(counted + plan.starts.len() as u64, all);
            let first = plan.starts.first().map_or(plan.next.unwrap(), |(at, _)| *at);
            prop_assert!(plan.missed.is_none_or(|range| range.last < first));
            prop_assert!(plan.starts.is_sorted_by_key(|(at, _)| *at));
            prop_assert!(plan.next > Some(at(now)));
        }
    }
}
