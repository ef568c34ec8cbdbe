//! A whole run, but for the store, against bare wasmtime on the same component.

use criterion::Criterion;
use runner::cause::{Cause, CauseKind};
use runner::clock::Timestamp;
use runner::id::Id;
use runner::run::{Run, State, TriggerEntries};
use runner::store::Due;
use tokio::runtime::Runtime;

use super::floor::Floor;
use super::house::{Analysis, House, module, tag};
use super::rounds::{Side, compare, ratio};

/// How many of the 30 entries are secrets; three are the runner's own, the others variables.
pub const SECRETS: usize = 10;
const SYSTEM: [&str; 3] = ["_analysis_id", "_attempt", "_run_id"];
const ENTRIES: usize = 30;

/// The length of secrets and variables, in bytes.
const VALUE: usize = 64;

/// The tag by which policies know the analysis that is measured.
pub const MEASURED: &str = "measured";

/// Its secrets: keys and values.
pub fn secrets() -> impl Iterator<Item = (String, String)> {
    (0..SECRETS).map(|number| (format!("SECRET_{number:02}"), value("secret", number)))
}

/// Its variables.
pub fn variables() -> Vec<(String, String)> {
    let numbers = 0..ENTRIES - SECRETS - SYSTEM.len();
    numbers.map(|number| (format!("VARIABLE_{number:02}"), value("variable", number))).collect()
}

/// A text that looks like a key of some service.
fn value(kind: &str, number: usize) -> String {
    let seed = format!("{kind} {number}");
    let digest = runner::analysis::Digest::of(seed.as_bytes()).to_string();
    digest.chars().cycle().take(VALUE).collect()
}

/// A house with the analysis that is measured, and all that one run of it takes.
pub struct Measured {
    house: House,
    analysis: Analysis,
    due: Due,
    expected: Option<String>,
}

impl Measured {
    /// Furnishes the house.
    pub async fn new() -> Self {
        let house = House::open().await;
        let team = |number| tag("service", format!("service {number}"));
        let stored = secrets().enumerate().map(|(number, (key, value))| (key, value, team(number)));
        house.secrets(stored).await;
        house.policies((0..SECRETS).map(|number| (tag("name", MEASURED), team(number)))).await;
        let guest = module("bench-guest");
        let analysis = house.analysis(tag("name", MEASURED), &variables(), guest).await;
        let snapshot = house.snapshot(&analysis).await;

        // What a claim reads of the run and its profile. The rules of a generation are evaluated
        // once, for all its runs; each run's decision looks that up and writes down what it grants.
        let now = Timestamp::now();
        let run = Run {
            id: Id::generate(now),
            analysis: analysis.id,
            module: Some(analysis.module),
            version: Some(1),
            state: State::Queued,
            cause: Cause::new(CauseKind::Api, "bench"),
            trigger_entries: TriggerEntries::new(),
            rerun_of: None,
            attempts: 0,
            losses: 0,
            created_at: now,
            started_at: None,
            finished_at: None,
        };
        let (profile, generation) = (house.tenant.profile(), snapshot.generation);
        let due = Due { profile, generation, run, due_at: now };
        Self { house, analysis, due, expected: Some(ENTRIES.to_string()) }
    }

    /// One full run, but for the store.
    pub async fn run(&self) {
        let (snapshot, grant) = self.house.runner.decide(&self.due).expect("a decision");
        assert!(grant.entry.is_some());
        assert_eq!(self.house.run(&self.analysis, snapshot, "[]").await, self.expected);
    }
}

/// Measures, and answers the line to print.
pub fn measure(criterion: &mut Criterion, runtime: &Runtime) -> String {
    let measured = runtime.block_on(Measured::new());
    let system = SYSTEM.map(|key| (key.to_owned(), "0123456789abcdef01234567".to_owned()));
    let environment: Vec<_> = secrets().chain(variables()).chain(system).collect();
    assert_eq!(environment.len(), ENTRIES);
    let floor = Floor::new(&module("bench-guest"), environment);
    let bare = async || assert_eq!(floor.run().await, measured.expected);
    let sides = (
        Side { name: "full run", repeat: 50, work: async || measured.run().await },
        Side { name: "bare wasmtime", repeat: 50, work: bare },
    );
    let (full, bare) = compare(criterion, runtime, "overhead", 1_000, sides);
    eprintln!("full run {full:?}, bare wasmtime {bare:?}");
    format!("overhead ratio: {:.2}", ratio(full, bare))
}
