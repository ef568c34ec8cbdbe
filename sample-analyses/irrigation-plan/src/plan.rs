//! How much water each field needs.

use std::collections::BTreeMap;

use runner_analysis::Value;
use serde::Serialize;

/// How many millimetres of water raise the moisture of the soil by one percent.
const MM_FOR_ONE_PERCENT: f64 = 1.5;

/// What one record says of a field.
#[derive(Debug, PartialEq)]
pub struct Reading {
    field: String,
    moisture: f64,
}

impl Reading {
    /// Reads a device record, if it is one of a field's soil.
    pub fn of(record: &Value) -> Option<Self> {
        if record["variable"] != "soil_moisture" {
            return None;
        }
        let field = record["metadata"]["field"].as_str()?.to_owned();
        Some(Self { field, moisture: record["value"].as_f64()? })
    }
}

/// What to do.
#[derive(Serialize, Debug, PartialEq)]
pub struct Plan {
    /// How much rain was counted on, in millimetres.
    rain_mm: f64,
    /// How many millimetres to water, by field. Fields that need none are not there.
    water_mm: BTreeMap<String, f64>,
}

impl Plan {
    /// Waters each field to the wanted moisture, in percent, less the rain. A field's last reading
    /// counts.
    pub fn new(readings: &[Reading], wanted: f64, rain_mm: f64) -> Self {
        let last: BTreeMap<_, _> =
            readings.iter().map(|reading| (&reading.field, reading.moisture)).collect();
        let need = |moisture: f64| (wanted - moisture) * MM_FOR_ONE_PERCENT - rain_mm;
        let water = last.into_iter().map(|(field, moisture)| (field.clone(), need(moisture)));
        let rounded = |mm: f64| (mm * 10.0).round() / 10.0;
        let water = water.map(|(field, mm)| (field, rounded(mm))).filter(|(_, mm)| *mm > 0.0);
        Self { rain_mm, water_mm: water.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reading_counts_and_rain_is_subtracted() {
        let reading = |field: &str, moisture| Reading { field: field.into(), moisture };
        let readings = [reading("a", 5.0), reading("b", 29.0), reading("a", 20.0)];
        let plan = Plan::new(&readings, 30.0, 4.0);
        assert_eq!(plan.water_mm, BTreeMap::from([("a".into(), 11.0)]));
        let dry = Plan::new(&readings, 30.0, 0.0);
        assert_eq!(dry.water_mm, BTreeMap::from([("a".into(), 15.0), ("b".into(), 1.5)]));
    }
}
