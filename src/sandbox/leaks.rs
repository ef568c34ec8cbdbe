//! What the redactor caught in one run, by the place where it would have left.

use crate::environment::redactor::{Caught, Redactor};
use crate::run::{Leak, LeakReport, Sink};

/// Collects what is caught while a run goes on. It costs nothing until there is something.
#[derive(Default)]
pub(super) struct Leaks(Vec<(Sink, Caught)>);

impl Leaks {
    /// Adds what was caught on the way to a sink.
    pub(super) fn add(&mut self, sink: Sink, caught: Caught) {
        if caught.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|(other, _)| *other == sink) {
            Some((_, all)) => all.add(caught),
            None => self.0.push((sink, caught)),
        }
    }

    /// All of it, by name; nothing where nothing was caught.
    pub(super) fn report(&self, redactor: &Redactor) -> Option<LeakReport> {
        let leaks = self.0.iter().flat_map(|(sink, caught)| {
            redactor.name(caught).map(|caught| Leak {
                key: caught.key.to_owned(),
                secret: caught.secret,
                sink: *sink,
                encoding: caught.encoding,
                times: caught.times,
            })
        });
        LeakReport::of(leaks.collect())
    }
}
