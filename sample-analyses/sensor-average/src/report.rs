//! The report: one summary for each variable and unit.

use std::collections::BTreeMap;
use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::record::Record;

/// Summaries by variable and unit: values of different units have no common average.
#[derive(Default)]
pub struct Report<'a>(BTreeMap<(&'a str, &'a str), Summary>);

struct Summary {
    count: u32,
    average: f64,
    min: f64,
    max: f64,
}

impl<'a> Report<'a> {
    /// Takes one record into its summary.
    pub fn add(&mut self, record: Record<'a>) {
        let value = record.value;
        let summary = self.0.entry((record.variable, record.unit)).or_insert(Summary {
            count: 0,
            average: 0.0,
            min: value,
            max: value,
        });
        summary.count += 1;
        summary.average += (value - summary.average) / f64::from(summary.count);
        summary.min = summary.min.min(value);
        summary.max = summary.max.max(value);
    }

    /// Whether no record was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text: a line for each summary, and one more where a value is above the variable's
    /// limit, which `setting` has under `MAX_` and the variable's name in capitals.
    pub fn lines(&self, setting: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for ((variable, unit), Summary { count, average, min, max }) in &self.0 {
            let [average, min, most] = [average, min, max].map(|value| amount(*value, unit));
            let records = if *count == 1 { "record" } else { "records" };
            lines.push(format!(
                "{variable}: average {average}, min {min}, max {most}, {count} {records}"
            ));
            let key = limit_key(variable);
            if let Some(limit) = setting(&key) {
                let limit: f64 = limit
                    .trim()
                    .parse()
                    .map_err(|_| format!("{key} is {limit:?}, not a number"))?;
                if *max > limit {
                    lines.push(format!("{variable}: {most} is above {key}, {limit}"));
                }
            }
        }
        Ok(lines)
    }
}

/// The HMAC-SHA-256 of `text` under `key`, as `sha256=` and hexadecimal digits.
pub fn sign(text: &str, key: &str) -> String {
    let mut signature = String::from("sha256=");
    // HMAC takes a key of any length, so that the failing case never comes.
    if let Ok(mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) {
        for byte in mac.chain_update(text).finalize().into_bytes() {
            let _ = write!(signature, "{byte:02x}");
        }
    }
    signature
}

/// The environment key of a variable's limit.
fn limit_key(variable: &str) -> String {
    let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("MAX_{}", variable.chars().map(capital).collect::<String>())
}

/// A value with at most three decimals, and its unit.
fn amount(value: f64, unit: &str) -> String {
    let mut text = format!("{value:.3}");
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    if text == "-0" {
        text.remove(0);
    }
    if !unit.is_empty() {
        text.push(' ');
        text.push_str(unit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(
        records: &[(&'static str, f64, &'static str)],
        setting: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, String> {
        let mut report = Report::default();
        for (variable, value, unit) in records {
            report.add(Record { variable, value: *value, unit });
        }
        report.lines(setting)
    }

    #[test]
    fn each_variable_and_unit_has_its_own_line() {
        let records = [("t", 20.0, "°C"), ("h", 40.5, "%"), ("t", 21.0, "°C"), ("t", 70.0, "°F")];
        assert_eq!(
            lines(&records, |_| None).unwrap(),
            [
                "h: average 40.5 %, min 40.5 %, max 40.5 %, 1 record",
                "t: average 20.5 °C, min 20 °C, max 21 °C, 2 records",
                "t: average 70 °F, min 70 °F, max 70 °F, 1 record",
            ]
        );
    }

    #[test]
    fn a_value_above_the_limit_has_a_line_and_one_at_the_limit_has_none() {
        let limit = |key: &str| (key == "MAX_OIL_TEMP").then(|| " 90.5 ".to_owned());
        assert_eq!(lines(&[("oil-temp", 90.5, "")], limit).unwrap().len(), 1);
        let above = lines(&[("oil-temp", 90.75, "")], limit).unwrap();
        assert_eq!(above[1], "oil-temp: 90.75 is above MAX_OIL_TEMP, 90.5");
    }

    #[test]
    fn a_limit_that_is_no_number_is_an_error_that_names_it() {
        let error = lines(&[("t", 1.0, "")], |_| Some("hot".into())).unwrap_err();
        assert_eq!(error, r#"MAX_T is "hot", not a number"#);
    }

    #[test]
    fn amounts_are_short() {
        let shown = [0.1 + 0.2, -0.000_1, 100.0, 2.0 / 3.0].map(|value| amount(value, ""));
        assert_eq!(shown, ["0.3", "0", "100", "0.667"]);
    }

    #[test]
    fn a_signature_is_that_of_rfc_4231_test_case_2() {
        assert_eq!(
            sign("what do ya want for nothing?", "Jefe"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
