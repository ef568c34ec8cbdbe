//! When which timer is due. What a timer does is JavaScript's business.

use std::collections::BTreeMap;

/// All timers that are set, by when they are due and then by when they were set.
pub struct Timers {
    due: BTreeMap<(u64, u32), Timer>,
    /// Where each timer stands, by its number.
    places: BTreeMap<u32, (u64, u32)>,
    next: u32,
}

struct Timer {
    id: u32,
    held: bool,
}

impl Timers {
    pub const fn new() -> Self {
        Self { due: BTreeMap::new(), places: BTreeMap::new(), next: 0 }
    }

    /// Sets a timer to an instant of the monotonic clock, in nanoseconds. `held` says whether a
    /// run without a promise of its own waits for it.
    pub fn set(&mut self, id: u32, at: u64, held: bool) {
        self.clear(id);
        let place = (at, self.next);
        self.next += 1;
        self.due.insert(place, Timer { id, held });
        self.places.insert(id, place);
    }

    /// Takes a timer back.
    pub fn clear(&mut self, id: u32) {
        if let Some(place) = self.places.remove(&id) {
            self.due.remove(&place);
        }
    }

    /// Changes whether a run waits for the timer.
    pub fn hold(&mut self, id: u32, held: bool) {
        if let Some(timer) = self.places.get(&id).and_then(|place| self.due.get_mut(place)) {
            timer.held = held;
        }
    }

    /// The instant of the first timer.
    pub fn first(&self) -> Option<u64> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Takes the first timer that is due at an instant and was set before `fence`.
    pub fn take(&mut self, now: u64, fence: u32) -> Option<u32> {
        let entry = self.due.range(..=(now, u32::MAX)).find(|((_, set), _)| *set < fence);
        let place = *entry?.0;
        let timer = self.due.remove(&place)?;
        self.places.remove(&timer.id);
        Some(timer.id)
    }

    /// What the next timer will be later than: timers that are set by timers wait for their turn.
    pub fn fence(&self) -> u32 {
        self.next
    }

    /// Whether a run without a promise of its own has to wait for one of them.
    pub fn holds(&self) -> bool {
        self.due.values().any(|timer| timer.held)
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}
