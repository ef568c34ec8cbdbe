//! Tells which records of the scope are above LIMIT.

use runner_analysis::{Context, info};
use serde::{Deserialize, Serialize};

runner_analysis::analysis!(run);

/// What a device sent.
#[derive(Deserialize)]
struct Record {
    variable: String,
    value: f64,
    #[serde(default)]
    unit: String,
}

/// The run's result.
#[derive(Serialize, Debug, PartialEq)]
struct Summary {
    records: usize,
    above: usize,
}

fn run(context: &Context, scope: Vec<Record>) -> Result<Summary, String> {
    let limit: f64 = context.environment.parse("LIMIT")?;
    let above: Vec<_> = scope.iter().filter(|record| record.value > limit).collect();
    for Record { variable, value, unit } in &above {
        info!("{variable}: {value} {unit} is above {limit}");
    }
    Ok(Summary { records: scope.len(), above: above.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_at_the_limit_are_not_above_it() {
        let environment = [("LIMIT", "30")].into_iter().collect();
        let context = Context { environment, ..Context::default() };
        let record = |value| Record { variable: "t".into(), value, unit: String::new() };
        let summary = run(&context, vec![record(30.0), record(30.5)]);
        assert_eq!(summary, Ok(Summary { records: 2, above: 1 }));
    }
}
