//! Decides which fields to water, by the moisture of their soil and by the rain that is forecast.
//!
//! The forecast comes from an HTTP API that wants a key in a header; the key is a secret.

mod plan;

use runner_analysis::{Context, Value, http, info, warn};
use serde::Deserialize;

use plan::{Plan, Reading};

runner_analysis::analysis!(run);

/// What the API says of the next day.
#[derive(Deserialize)]
struct Forecast {
    /// How much rain falls, in millimetres, which are litres for each square metre.
    rain_mm: f64,
}

/// The scope is a list of device records, of which those of `soil_moisture` count.
fn run(context: &Context, scope: Vec<Value>) -> Result<Plan, String> {
    let wanted = context.environment.parse("WANTED_MOISTURE")?;
    let readings = readings(&scope);
    if readings.is_empty() {
        return Err("no record in the scope is the soil_moisture of a field".into());
    }
    let forecast = forecast(context)?;
    info!("forecast: {} mm of rain", forecast.rain_mm);
    Ok(Plan::new(&readings, wanted, forecast.rain_mm))
}

fn readings(scope: &[Value]) -> Vec<Reading> {
    let mut readings = Vec::new();
    for (at, record) in scope.iter().enumerate() {
        match Reading::of(record) {
            Some(reading) => readings.push(reading),
            None => warn!("record {} skipped: it is not the soil_moisture of a field", at + 1),
        }
    }
    readings
}

fn forecast(context: &Context) -> Result<Forecast, String> {
    let url = context.environment.require("API_URL")?.trim_end_matches('/');
    let answer = http::get(format!("{url}/v1/forecast"))
        .query("place", context.environment.require("PLACE")?)
        .query("hours", "24")
        .header("X-Api-Key", context.environment.require("WEATHER_KEY")?)
        .send()?;
    if answer.status() == 401 {
        return Err("the API does not accept the key: is WEATHER_KEY still valid?".into());
    }
    Ok(answer.error_for_status()?.json()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner_analysis::json;

    #[test]
    fn records_of_other_things_are_left_out() {
        let scope = [
            json!({"variable": "soil_moisture", "value": 18.5, "metadata": {"field": "north"}}),
            json!({"variable": "soil_moisture", "value": "wet", "metadata": {"field": "south"}}),
            json!({"variable": "wind", "value": 3}),
        ];
        assert_eq!(readings(&scope).len(), 1);
    }

    #[test]
    fn what_is_missing_is_named_before_anything_is_sent() {
        let record = json!({"variable": "soil_moisture", "value": 1, "metadata": {"field": "a"}});
        let entries = [("WANTED_MOISTURE", "30"), ("API_URL", "https://h"), ("PLACE", "Bonn")];
        let environment = entries.into_iter().collect();
        let context = Context { environment, ..Context::default() };
        let error = run(&context, vec![record]).unwrap_err();
        assert!(error.starts_with("WEATHER_KEY is not in the environment"), "{error}");
    }
}
