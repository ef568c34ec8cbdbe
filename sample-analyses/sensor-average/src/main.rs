//! Averages device records by variable, warns above a limit, and signs the report.
//!
//! A plain program on the standard library, with nothing of the runner in it: the scope comes
//! from `T_ANALYSIS_DATA` or standard input, settings and the key from environment variables, and
//! what it prints is the console.

mod record;
mod report;

use std::env;
use std::io::{self, Read};
use std::process::ExitCode;

use serde_json::Value;

use record::Record;
use report::Report;

/// The environment key of the key that signs the report.
const REPORT_KEY: &str = "REPORT_KEY";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let scope = serde_json::from_str(&scope()?)
        .map_err(|error| format!("the scope is not JSON: {error}"))?;
    let Value::Array(items) = scope else {
        return Err("the scope is not a list of device records".into());
    };
    let mut report = Report::default();
    for (index, item) in items.iter().enumerate() {
        match Record::read(item) {
            Ok(record) => report.add(record),
            Err(reason) => eprintln!("record {} skipped: {reason}", index + 1),
        }
    }
    if report.is_empty() {
        return Err("no usable record in the scope".into());
    }
    let text = report.lines(|key| env::var(key).ok())?.join("\n");
    println!("{text}");
    match env::var(REPORT_KEY) {
        Ok(key) if !key.is_empty() => println!("signature: {}", report::sign(&text, &key)),
        _ => eprintln!("not signed: {REPORT_KEY} is not in the environment"),
    }
    Ok(())
}

/// The scope's JSON text.
fn scope() -> Result<String, String> {
    if let Ok(text) = env::var("T_ANALYSIS_DATA") {
        return Ok(text);
    }
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("the scope cannot be read from standard input: {error}"))?;
    Ok(text)
}
