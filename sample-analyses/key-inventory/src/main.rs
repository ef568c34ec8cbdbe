//! Checks that keys are granted and long enough, before someone needs them.

use std::env;
use std::process::ExitCode;

/// The environment key of the names of what is checked, with spaces between.
const KEYS: &str = "KEYS";

/// The environment key of the least length, in characters.
const MIN_LENGTH: &str = "MIN_LENGTH";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is in order; the error says which setting is not.
fn run() -> Result<bool, String> {
    let keys = env::var(KEYS).map_err(|_| format!("{KEYS} is not in the environment"))?;
    let least = env::var(MIN_LENGTH).ok().and_then(|text| text.parse().ok());
    let least = least.ok_or_else(|| format!("{MIN_LENGTH} is not a number"))?;
    let mut in_order = true;
    for key in keys.split_whitespace() {
        match check(env::var(key).ok().as_deref(), least) {
            Ok(length) => println!("{key}: {length} characters"),
            Err(problem) => {
                in_order = false;
                eprintln!("{key}: {problem}");
            }
        }
    }
    Ok(in_order)
}

/// The length of a value that is in order.
fn check(value: Option<&str>, least: usize) -> Result<usize, String> {
    let length = value.ok_or("not in the environment")?.chars().count();
    if length < least {
        return Err(format!("{length} characters, fewer than {least}"));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_must_be_there_and_long_enough() {
        assert_eq!(check(Some("grün"), 4), Ok(4));
        assert_eq!(check(Some("grün"), 5), Err("4 characters, fewer than 5".into()));
        assert_eq!(check(None, 0), Err("not in the environment".into()));
    }
}
