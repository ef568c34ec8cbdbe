//! `runner config`: each setting, its value, and where the value came from.

use std::process::ExitCode;

use serde_json::{Map, json};

use super::Global;
use super::failure::Failure;
use super::local;
use super::output::Output;

/// Prints the settings.
pub fn show(global: &Global) -> Result<ExitCode, Failure> {
    let config = local::config(global)?;
    let mut output = Output::standard(global.json);
    if global.json {
        let settings: Map<_, _> = config
            .iter()
            .map(|(setting, value, origin)| {
                let shown = json!({
                    "value": value, "origin": origin.to_string(), "about": setting.about,
                });
                (setting.name.to_owned(), shown)
            })
            .collect();
        output.json(&settings)?;
    } else {
        let rows = config.iter().map(|(setting, value, origin)| {
            vec![setting.name.into(), value.into(), origin.to_string(), setting.about.into()]
        });
        output.table(&["SETTING", "VALUE", "FROM", "ABOUT"], rows.collect())?;
    }
    Ok(ExitCode::SUCCESS)
}
