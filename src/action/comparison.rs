//! Comparing a record's value with those of a condition.
//!
//! Owns the comparisons and the types in which values compare. Numbers are 64-bit floats; a text
//! that reads as a number counts as one, and so do the words `true` and `false` as booleans. A
//! value that is not of the type passes nothing, `!` included.

use std::cmp::Ordering;

use serde_json::Value;

use super::fields::Fields;
use super::refusal::InvalidAction;
use crate::tag::is_label;
use crate::words::words;

/// The longest text to compare with, in characters.
const MAX_LENGTH: usize = 200;

/// The fields of the values, in the order of the operands.
const NAMES: [&str; 2] = ["value", "second_value"];

words! {
    /// How a record's value is compared.
    Comparison:
    Less "<" => "Below the value.";
    Greater ">" => "Above the value.";
    Equal "=" => "The same as the value.";
    Different "!" => "Another than the value, of the same type.";
    Between "><" => "Above the value and below the second one.";
    Any "*" => "Whatever it is.";
}

words! {
    /// As what values are compared.
    ValueType:
    Text "string" => "Texts, in the order of their characters.";
    Number "number" => "Numbers.";
    Flag "boolean" => "True and false.";
    Any "*" => "As numbers where the condition's value is one, else as texts.";
}

/// A comparison with the values that it needs.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Test {
    is: Comparison,
    value_type: ValueType,
    operands: Vec<Operand>,
}

/// A value to compare with.
#[derive(Clone, PartialEq, Debug)]
struct Operand {
    written: Value,
    read: Read,
}

/// A value in the type in which it compares.
#[derive(Clone, PartialEq, Debug)]
enum Read {
    Text(String),
    Number(f64),
    Flag(bool),
}

impl Test {
    /// Reads the fields `is`, `value`, `second_value` and `value_type`. A value that the
    /// comparison does not need is not looked at, as clients send empty ones.
    pub fn parse(fields: &Fields<'_>) -> Result<Self, InvalidAction> {
        let is = fields.word("is", Comparison::ALL)?;
        let value_type = fields.optional_word("value_type", ValueType::ALL)?;
        let value_type = value_type.unwrap_or(ValueType::Any);
        let wanted = match is {
            Comparison::Any => 0,
            Comparison::Between => 2,
            _ => 1,
        };
        let ordered = matches!(is, Comparison::Less | Comparison::Greater | Comparison::Between);
        if ordered && value_type == ValueType::Flag {
            let problem = format!("booleans have no order, so \"{is}\" compares none");
            return Err(InvalidAction::new("is", problem, r#"write "=" or "!""#));
        }
        let operands = NAMES[..wanted].iter().map(|name| Operand::parse(fields, name, value_type));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        if let [low, high] = &operands[..]
            && high.order(&low.written) != Some(Ordering::Less)
        {
            let problem = "no value lies between these two";
            let advice = "make second_value the larger one, of the same type";
            return Err(InvalidAction::new(NAMES[1], problem, advice));
        }
        Ok(Self { is, value_type, operands })
    }

    /// Whether a record's value passes.
    pub fn passes(&self, value: &Value) -> bool {
        let order = |at: usize| self.operands.get(at).and_then(|operand| operand.order(value));
        match self.is {
            Comparison::Less => order(0) == Some(Ordering::Less),
            Comparison::Greater => order(0) == Some(Ordering::Greater),
            Comparison::Equal => order(0) == Some(Ordering::Equal),
            Comparison::Different => order(0).is_some_and(Ordering::is_ne),
            Comparison::Between => {
                order(0) == Some(Ordering::Greater) && order(1) == Some(Ordering::Less)
            }
            Comparison::Any => true,
        }
    }

    /// Adds the fields to an entry, the values as they were written.
    pub fn show_in(&self, entry: &mut Value) {
        entry["is"] = self.is.as_str().into();
        entry["value_type"] = self.value_type.as_str().into();
        for (name, operand) in NAMES.iter().zip(&self.operands) {
            entry[*name] = operand.written.clone();
        }
    }
}

impl Operand {
    fn parse(
        fields: &Fields<'_>,
        name: &str,
        value_type: ValueType,
    ) -> Result<Self, InvalidAction> {
        let found = fields.get(name);
        let read = found.and_then(|value| {
            let read = match value_type {
                ValueType::Text => Read::Text(text(value)?),
                ValueType::Number => Read::Number(number(value)?),
                ValueType::Flag => Read::Flag(flag(value)?),
                ValueType::Any => match number(value) {
                    Some(number) => Read::Number(number),
                    None => Read::Text(text(value)?),
                },
            };
            Some(Self { written: value.clone(), read })
        });
        read.ok_or_else(|| {
            let rule = format!("this must be a value of the type \"{value_type}\"");
            let advice = r#"write for example "30" with the value_type "number""#;
            InvalidAction::found(name, found, &rule, advice)
        })
    }

    /// Where `value` lies, seen from this one; none where it is of another type.
    fn order(&self, value: &Value) -> Option<Ordering> {
        match &self.read {
            Read::Text(own) => value.as_str().map(|text| text.cmp(own)),
            Read::Number(own) => number(value)?.partial_cmp(own),
            Read::Flag(own) => flag(value).map(|flag| flag.cmp(own)),
        }
    }
}

/// A text of bounded length, or what a number or a boolean is written as.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    is_label(&text, MAX_LENGTH).then_some(text)
}

/// A finite number, or a text of bounded length that reads as one.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) if text.len() <= MAX_LENGTH => text.trim().parse().ok(),
        _ => value.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// A boolean, or its word.
fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(value: &Value) -> Result<Test, InvalidAction> {
        Test::parse(&Fields::among(value.as_object().unwrap()))
    }

    fn test(is: &str, value: Value, value_type: &str) -> Result<Test, InvalidAction> {
        parse(&json!({"is": is, "value": value, "value_type": value_type}))
    }

    fn passes(is: &str, value: Value, value_type: &str, record: Value) -> bool {
        test(is, value, value_type).unwrap().passes(&record)
    }

    #[test]
    fn numbers_compare_as_numbers_however_they_are_written() {
        for (is, below, same, above) in [
            ("<", true, false, false),
            (">", false, false, true),
            ("=", false, true, false),
            ("!", true, false, true),
            ("*", true, true, true),
        ] {
            for value in [json!("9"), json!(9)] {
                let test = test(is, value, "number").unwrap();
                let found = [json!(8.5), json!("9.0"), json!(10)].map(|value| test.passes(&value));
                assert_eq!(found, [below, same, above], "{is}");
            }
        }
    }

    #[test]
    fn between_excludes_both_ends() {
        let mut value =
            json!({"is": "><", "value": "1", "second_value": 3, "value_type": "number"});
        let test = parse(&value).unwrap();
        assert_eq!([1, 2, 3].map(|number| test.passes(&json!(number))), [false, true, false]);
        let mut shown = json!({});
        test.show_in(&mut shown);
        assert_eq!(shown, value);
        for turned in [json!(0), json!(1)] {
            value["second_value"] = turned;
            assert!(parse(&value).unwrap_err().problem.contains("between"));
        }
    }

    #[test]
    fn a_record_of_another_type_passes_nothing() {
        for record in [json!("warm"), json!(null), json!([1]), json!(true), json!("NaN")] {
            assert!(!passes("!", json!(1), "number", record));
        }
        assert!(!passes("!", json!("1"), "string", json!(2)));
        assert!(!passes("=", json!(true), "boolean", json!("yes")));
    }

    #[test]
    fn each_type_has_its_order() {
        assert!(passes("=", json!("true"), "boolean", json!(true)));
        assert!(passes("!", json!(true), "boolean", json!("false")));
        assert!(passes("<", json!("10"), "string", json!("1")));
        assert!(passes(">", json!("10"), "string", json!("9")));
        assert!(passes("=", json!("open"), "*", json!("open")));
        assert!(passes("=", json!("1"), "*", json!(1.0)));
        assert!(passes("*", json!(null), "*", json!({"any": "thing"})));
    }

    #[test]
    fn wrong_values_are_refused() {
        assert_eq!(test("<", json!("warm"), "number").unwrap_err().at, "value");
        assert!(test("<", json!(true), "boolean").unwrap_err().problem.contains("no order"));
        assert!(test("~", json!(1), "number").unwrap_err().advice.contains(r#""><""#));
        assert_eq!(test("=", json!("a\u{0}"), "string").unwrap_err().at, "value");
        assert_eq!(test("><", json!(1), "number").unwrap_err().at, "second_value");
    }

    proptest! {
        #[test]
        fn a_number_is_below_the_same_or_above(a in -1e9_f64..1e9, b in -1e9_f64..1e9) {
            let is = |is| passes(is, json!(b), "number", json!(a.to_string()));
            let found = [is("<"), is("="), is(">")];
            prop_assert_eq!(found.iter().filter(|found| **found).count(), 1);
            prop_assert_eq!(is("!"), !is("="));
        }
    }
}
