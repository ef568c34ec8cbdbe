//! The least an analysis can do: takes its context, prints one line, gives a result.
//!
//! It uses the bare bindings and parses no JSON, so that what is measured around it is not hidden
//! behind work of its own.

use runner_analysis::bindings::exports::runner::analysis::entry::{Context, Guest};
use runner_analysis::bindings::runner::analysis::console::{Level, log};

struct Analysis;

impl Guest for Analysis {
    fn run(context: Context, _scope: String) -> Result<Option<String>, String> {
        log(Level::Info, "the environment has been looked at");
        Ok(Some(context.environment.len().to_string()))
    }
}

runner_analysis::bindings::export_analysis!(Analysis with_types_in runner_analysis::bindings);
