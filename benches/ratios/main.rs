//! What the runner costs, as ratios against floors that are measured in the same run.
//!
//! Criterion samples each side and keeps its statistics under `target/criterion`. The lines
//! that count come from rounds in which the two sides take turns (see `rounds`), so that a machine
//! that is busy with something else slows both down alike.
//!
//! `cargo bench -- NAME` measures only what has the name: overhead, threads, hooks, scale, durable,
//! node, javascript or cold.

mod cold;
mod durable;
mod floor;
mod hooks;
mod house;
mod javascript;
mod node;
mod overhead;
mod rounds;
mod scale;
mod threads;

use std::time::Duration;

use criterion::Criterion;
use tokio::runtime::Runtime;

/// Measures, and answers the line to print.
type Measure = fn(&mut Criterion, &Runtime) -> String;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    let runtime = Runtime::new().expect("a runtime");
    let asked = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let measures: [(&str, Measure); 8] = [
        ("overhead", overhead::measure),
        ("threads", threads::measure),
        ("hooks", hooks::measure),
        ("scale", scale::measure),
        ("durable", durable::measure),
        ("node", node::measure),
        ("javascript", javascript::measure),
        ("cold", cold::measure),
    ];
    let asked = measures.iter().filter(|(name, _)| asked.as_ref().is_none_or(|one| one == name));
    let lines: Vec<_> = asked.map(|(_, measure)| measure(&mut criterion, &runtime)).collect();
    println!();
    for line in lines {
        println!("{line}");
    }
}
