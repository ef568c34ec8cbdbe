//! Variables on the wire: strings, numbers and booleans that the guest sees as text.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use zeroize::{Zeroize, Zeroizing};

use super::reply::Refusal;
use crate::analysis::{
    Variable, VariableKind, check_variables, decode_variables, encode_variables,
};
use crate::id::Id;
use crate::store;
use crate::vault::{self, Part, Vault};

/// The longest value, in bytes.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// One variable as a client sends it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WireVariable {
    /// As for secrets.
    key: String,
    /// A string, a number or a boolean.
    value: Value,
}

/// The variables of a request, checked.
pub fn read(sent: Vec<WireVariable>, max: usize) -> Result<Vec<Variable>, Refusal> {
    let variables = sent.into_iter().map(variable).collect::<Result<Vec<_>, _>>()?;
    check_variables(&variables, max)?;
    Ok(variables)
}

fn variable(WireVariable { key, value }: WireVariable) -> Result<Variable, Refusal> {
    let (kind, mut text) = match value {
        Value::String(text) => (VariableKind::String, text),
        Value::Number(number) => (VariableKind::Number, number.to_string()),
        Value::Bool(flag) => (VariableKind::Boolean, flag.to_string()),
        _ => {
            let message =
                format!("the variable {key:?} must have a string, a number or a boolean as value");
            return Err(Refusal::invalid(message));
        }
    };
    if text.len() > MAX_VALUE_BYTES || text.contains('\0') {
        text.zeroize();
        return Err(Refusal::invalid(format!(
            "the value of the variable {key:?} has a NUL character or more than \
             {MAX_VALUE_BYTES} bytes"
        )));
    }
    Ok(Variable { key, value: Zeroizing::new(text), kind })
}

/// The variables of an analysis in one envelope; none for none.
pub fn seal(
    vault: &Vault,
    profile: Id,
    analysis: Id,
    variables: &[Variable],
) -> Result<Option<Vec<u8>>, vault::Error> {
    if variables.is_empty() {
        return Ok(None);
    }
    let text = encode_variables(variables);
    vault.seal(profile, &Part::Variables { analysis }, text.as_bytes()).map(Some)
}

/// The variables of an envelope, as they were sent.
pub fn open(
    vault: &Vault,
    profile: Id,
    analysis: Id,
    sealed: Option<&[u8]>,
) -> Result<Vec<Value>, Refusal> {
    let Some(sealed) = sealed else { return Ok(Vec::new()) };
    let text = vault.open(profile, &Part::Variables { analysis }, sealed)?;
    let damaged = || store::Error::Damaged("the variables of an analysis".into());
    let text = std::str::from_utf8(&text).map_err(|_| damaged())?;
    let decoded = decode_variables(text).ok_or_else(damaged)?;
    let wire = decoded.into_iter().map(|variable| {
        let text = &text[variable.value];
        let value = match variable.kind {
            VariableKind::String => Value::from(text),
            // It was JSON when it came in.
            VariableKind::Number | VariableKind::Boolean => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
            }
        };
        Value::Object(Map::from_iter([
            ("key".into(), json!(variable.key)),
            ("value".into(), value),
        ]))
    });
    Ok(wire.collect())
}
