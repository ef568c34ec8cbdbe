//! Opens a signed ticket for each reading of a message that is above a limit.

use std::env;
use std::io;
use std::process::ExitCode;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// The environment key of the key that signs tickets.
const TICKET_KEY: &str = "TICKET_KEY";

/// The environment key of the highest value that is in order.
const LIMIT: &str = "LIMIT";

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
    let key = env::var(TICKET_KEY).ok().filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| format!("{TICKET_KEY} is not in the environment"))?;
    let limit = env::var(LIMIT).ok().and_then(|text| text.parse().ok());
    let limit = limit.ok_or_else(|| format!("{LIMIT} is not a number"))?;
    if let Ok(topic) = env::var("_mqtt_topic") {
        eprintln!("a message of {topic}");
    }
    let scope = io::read_to_string(io::stdin()).map_err(|error| error.to_string())?;
    let scope = serde_json::from_str(&scope).map_err(|error| format!("the scope: {error}"))?;
    let Value::Array(readings) = scope else {
        return Err("the scope is not a list of readings".into());
    };
    for (index, reading) in readings.iter().enumerate() {
        match ticket(reading, limit) {
            Ok(Some(ticket)) => println!("{ticket}, signature {}", sign(&ticket, &key)),
            Ok(None) => {}
            Err(missing) => eprintln!("reading {} skipped: it has no {missing}", index + 1),
        }
    }
    Ok(())
}

/// The ticket that a reading needs, if it needs one; what is missing where it is no reading.
fn ticket(reading: &Value, limit: f64) -> Result<Option<String>, &'static str> {
    let text = |name| reading.get(name).and_then(Value::as_str);
    let machine = text("machine").ok_or("machine")?;
    let variable = text("variable").ok_or("variable")?;
    let value = reading.get("value").and_then(Value::as_f64).ok_or("number as its value")?;
    Ok((value > limit).then(|| format!("{machine}: {variable} {value} is above {limit}")))
}

fn sign(text: &str, key: &str) -> String {
    // HMAC takes a key of any length, so that the empty case never comes.
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok();
    let bytes = mac.map(|mac| mac.chain_update(text).finalize().into_bytes());
    bytes.iter().flatten().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reading: &str) -> Result<Option<String>, &'static str> {
        ticket(&reading.parse().unwrap(), 80.0)
    }

    #[test]
    fn a_reading_above_the_limit_needs_a_ticket() {
        let ticket = of(r#"{"machine": "m", "variable": "t", "value": 80.5}"#);
        assert_eq!(ticket, Ok(Some("m: t 80.5 is above 80".into())));
        assert_eq!(of(r#"{"machine": "m", "variable": "t", "value": 80}"#), Ok(None));
    }

    #[test]
    fn what_lacks_something_is_no_reading() {
        for (reading, missing) in [
            ("7", "machine"),
            (r#"{"machine": "m"}"#, "variable"),
            (r#"{"machine": "m", "variable": "t", "value": "81"}"#, "number as its value"),
        ] {
            assert_eq!(of(reading), Err(missing), "{reading}");
        }
    }
}
