//! One device record of the scope.

use serde_json::Value;

/// What a record says: a variable with its value and unit.
#[derive(Debug, PartialEq)]
pub struct Record<'a> {
    pub variable: &'a str,
    pub value: f64,
    pub unit: &'a str,
}

impl<'a> Record<'a> {
    /// Reads `variable` and `value`, and `unit` where there is one; the error says what is wrong.
    pub fn read(item: &'a Value) -> Result<Self, String> {
        let variable = match item.get("variable").and_then(Value::as_str) {
            Some(name) if !name.is_empty() => name,
            _ => return Err("it names no variable".into()),
        };
        let value = match item.get("value") {
            Some(Value::Number(number)) => number.as_f64(),
            Some(other) => return Err(format!("the value of {variable} is {other}, not a number")),
            None => return Err(format!("{variable} has no value")),
        };
        let value = value.ok_or_else(|| format!("the value of {variable} is out of range"))?;
        let unit = item.get("unit").and_then(Value::as_str).unwrap_or_default();
        Ok(Self { variable, value, unit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(String, f64, String), String> {
        let item = json.parse().unwrap();
        let record = Record::read(&item)?;
        Ok((record.variable.into(), record.value, record.unit.into()))
    }

    #[test]
    fn a_record_needs_a_variable_and_a_number() {
        let full = r#"{"device":"d","variable":"temperature","value":21.5,"unit":"°C","time":"t"}"#;
        assert_eq!(read(full), Ok(("temperature".into(), 21.5, "°C".into())));
        let bare = r#"{"variable":"count","value":-3,"unit":null}"#;
        assert_eq!(read(bare), Ok(("count".into(), -3.0, String::new())));
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (json, reason) in [
            ("7", "names no variable"),
            ("null", "names no variable"),
            (r#"{"value":1}"#, "names no variable"),
            (r#"{"variable":"","value":1}"#, "names no variable"),
            (r#"{"variable":"door","value":"open"}"#, r#"value of door is "open", not a number"#),
            (r#"{"variable":"door"}"#, "door has no value"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }
}
