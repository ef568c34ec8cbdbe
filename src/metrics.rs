//! What this process counts, in the words of Prometheus.
//!
//! Owns the names, labels and buckets of all metrics and their text form. It does not know when to
//! count: who does a thing says so here. Labels take few values: never an id, a name or a path.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::cause::CauseKind;

/// The type of the text form.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Counters<L> = Family<L, Counter>;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Answer {
    route: Arc<str>,
    status: u16,
}

/// All metrics of one process. Cheap to clone; all clones count the same.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    acknowledged: Counters<Cause>,
    finished: Counters<State>,
    duration: Histogram,
    queue_wait: Histogram,
    running: Gauge,
    slots: Counters<Outcome>,
    leases_lost: Counter,
    groups: Histogram,
    answers: Counters<Answer>,
}

impl Metrics {
    /// Metrics that have counted nothing.
    #[expect(clippy::new_without_default, reason = "a process makes them once, on purpose")]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("runner");
        // From 100 µs to 28 minutes, past the default cap on an analysis's wall time.
        let times = || Histogram::new(exponential_buckets(1e-4, 4.0, 13));
        let mut metrics = Self {
            registry: Arc::default(),
            acknowledged: Counters::default(),
            finished: Counters::default(),
            duration: times(),
            queue_wait: times(),
            running: Gauge::default(),
            slots: Counters::default(),
            leases_lost: Counter::default(),
            groups: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            answers: Counters::default(),
        };
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which runner this is", version);
        metrics.register(&mut registry);
        metrics.registry = Arc::new(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "runs_acknowledged",
            "Runs that were made durable, by what set them off",
            self.acknowledged.clone(),
        );
        registry.register(
            "runs_finished",
            "Runs that this node brought to their final state",
            self.finished.clone(),
        );
        registry.register(
            "run_duration_seconds",
            "Time that guests took, from the first instruction to the end",
            self.duration.clone(),
        );
        registry.register(
            "queue_wait_seconds",
            "Time from when a run was due until this node claimed it",
            self.queue_wait.clone(),
        );
        registry.register("runs_running", "Guests that run on this node", self.running.clone());
        registry.register(
            "slots",
            "Instants of schedules and intervals, by what became of them",
            self.slots.clone(),
        );
        registry.register(
            "leases_lost",
            "Runs that this node took back because their worker was gone",
            self.leases_lost.clone(),
        );
        registry.register(
            "store_group_writes",
            "Writes that were committed together; the count is the number of commits",
            self.groups.clone(),
        );
        registry.register(
            "http_requests",
            "Answered requests, by route and status",
            self.answers.clone(),
        );
    }

    /// A run was made durable; a repeated request for it does not count.
    pub fn acknowledged(&self, cause: CauseKind) {
        self.acknowledged.get_or_create(&Cause { cause: cause.as_str() }).inc();
    }

    /// A run was claimed so long after it was due.
    pub fn claimed(&self, wait: Duration) {
        self.queue_wait.observe(wait.as_secs_f64());
    }

    /// A guest begins to run; it runs until what is answered is dropped.
    pub fn running(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// A run reached this final state after its guest ran for `duration`.
    pub fn finished(&self, state: &'static str, duration: Duration) {
        self.finished.get_or_create(&State { state }).inc();
        self.duration.observe(duration.as_secs_f64());
    }

    /// So many slots got this outcome.
    pub fn slots(&self, outcome: &'static str, slots: u64) {
        self.slots.get_or_create(&Outcome { outcome }).inc_by(slots);
    }

    /// Runs of workers that are gone were taken back.
    pub fn leases_lost(&self, runs: u64) {
        self.leases_lost.inc_by(runs);
    }

    /// So many writes were committed together.
    pub fn group(&self, writes: usize) {
        self.groups.observe(writes as f64);
    }

    /// A request to a route, as the router names it, was answered with this HTTP status.
    pub fn answered(&self, route: Arc<str>, status: u16) {
        self.answers.get_or_create(&Answer { route, status }).inc();
    }

    /// The text form, for a scrape. `open` has the number of runs in each state that is not final,
    /// as the store counts them for all nodes.
    ///
    /// # Errors
    ///
    /// Where a metric cannot be written as text.
    pub fn text(&self, open: &[(&'static str, u64)]) -> Result<String, std::fmt::Error> {
        let mut counted = Registry::with_prefix("runner");
        let runs = Family::<State, Gauge>::default();
        for (state, number) in open {
            let number = i64::try_from(*number).unwrap_or(i64::MAX);
            runs.get_or_create(&State { state }).set(number);
        }
        counted.register("runs_open", "Runs in the store that have not ended, of all nodes", runs);
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &counted)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// A guest that runs, until this is dropped.
pub struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_stands_in_the_text() {
        let metrics = Metrics::new();
        metrics.acknowledged(CauseKind::Api);
        metrics.acknowledged(CauseKind::Api);
        metrics.claimed(Duration::from_millis(3));
        metrics.finished("failed", Duration::from_secs(2));
        metrics.slots("missed", 1);
        metrics.leases_lost(3);
        metrics.group(5);
        metrics.answered("/runs/{id}".into(), 404);
        let running = metrics.running();
        drop(metrics.running());
        let text = metrics.text(&[("queued", 7)]).unwrap();
        for line in [
            concat!("runner_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "runner_runs_acknowledged_total{cause=\"api\"} 2",
            "runner_runs_finished_total{state=\"failed\"} 1",
            "runner_run_duration_seconds_sum 2.0",
            "runner_queue_wait_seconds_count 1",
            "runner_queue_wait_seconds_bucket{le=\"0.0016\"} 0",
            "runner_runs_running 1",
            "runner_slots_total{outcome=\"missed\"} 1",
            "runner_leases_lost_total 3",
            "runner_store_group_writes_sum 5.0",
            "runner_http_requests_total{route=\"/runs/{id}\",status=\"404\"} 1",
            "runner_runs_open{state=\"queued\"} 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        drop(running);
        assert!(metrics.text(&[]).unwrap().contains("runner_runs_running 0\n"));
    }
}
