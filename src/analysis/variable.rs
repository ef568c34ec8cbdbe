//! Environment variables of an analysis, and the one rule for environment keys.

use std::ops::Range;

use zeroize::Zeroizing;

/// The default for the most variables an analysis may have.
pub const MAX_VARIABLES: usize = 100;

/// The longest key, in characters.
const MAX_KEY_LENGTH: usize = 128;

/// What a variable's value was on the wire. The guest always sees text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VariableKind {
    /// A JSON string.
    String,
    /// A JSON number; the text is as it was written.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// A plain environment variable. Its value is kept sealed: people put tokens there too.
pub struct Variable {
    /// Keeps the rule of [`check_key`].
    pub key: String,
    /// What the guest sees.
    pub value: Zeroizing<String>,
    /// What it was on the wire.
    pub kind: VariableKind,
}

/// One variable inside the text of [`encode`].
pub struct EncodedVariable<'a> {
    /// The key.
    pub key: &'a str,
    /// Where the value stands in the text.
    pub value: Range<usize>,
    /// What it was on the wire.
    pub kind: VariableKind,
}

/// All variables of an analysis as one text, to be sealed as one: for each, a line of kind (`s`,
/// `n` or `b`), key, and value length in bytes, then the value itself.
pub fn encode(variables: &[Variable]) -> Zeroizing<String> {
    let size = variables.iter().map(|v| v.key.len() + v.value.len() + 24).sum();
    // Large enough from the start: growing would leave an unwiped copy behind.
    let mut text = Zeroizing::new(String::with_capacity(size));
    for Variable { key, value, kind } in variables {
        let kind = match kind {
            VariableKind::String => 's',
            VariableKind::Number => 'n',
            VariableKind::Boolean => 'b',
        };
        text.push(kind);
        text.push_str(key);
        text.push(' ');
        text.push_str(&value.len().to_string());
        text.push('\n');
        text.push_str(value);
    }
    text
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub fn decode(text: &str) -> Option<Vec<EncodedVariable<'_>>> {
    let mut variables = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (line, _) = text[at..].split_once('\n')?;
        let (key, length) = line.get(1..)?.split_once(' ')?;
        let kind = match line.as_bytes().first()? {
            b's' => VariableKind::String,
            b'n' => VariableKind::Number,
            b'b' => VariableKind::Boolean,
            _ => return None,
        };
        let start = at + line.len() + 1;
        let end = start.checked_add(length.parse().ok()?)?;
        text.get(start..end)?;
        variables.push(EncodedVariable { key, value: start..end, kind });
        at = end;
    }
    Some(variables)
}

/// Why a variable, or a key of a secret, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVariable {
    /// The key breaks the character or length rule.
    #[error(
        "the key {0:?} is not allowed: a key begins with a letter, goes on with letters, digits \
         and underscores, and has at most {MAX_KEY_LENGTH} characters"
    )]
    Key(String),
    /// The key is one the runner sets itself.
    #[error(
        "the key {0:?} is reserved: keys that begin with T_ANALYSIS_ or TAGOIO_ are the runner's"
    )]
    Reserved(String),
    /// A key stands twice.
    #[error("the variable {0:?} stands twice; keys are unique")]
    Duplicate(String),
    /// Too many variables.
    #[error("{count} variables were given; at most {max} are allowed")]
    TooMany {
        /// How many were given.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
}

/// The rule for keys of secrets and of variables: `[A-Za-z][A-Za-z0-9_]*`, 1 to 128 characters,
/// none of the runner's own.
pub fn check_key(key: &str) -> Result<(), InvalidVariable> {
    let mut bytes = key.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if !starts
        || key.len() > MAX_KEY_LENGTH
        || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        let shown = key.chars().take(MAX_KEY_LENGTH).collect();
        return Err(InvalidVariable::Key(shown));
    }
    if key.starts_with("T_ANALYSIS_") || key.starts_with("TAGOIO_") {
        return Err(InvalidVariable::Reserved(key.into()));
    }
    Ok(())
}

/// Checks a whole set of variables: each key, uniqueness and count.
pub fn check_variables(variables: &[Variable], max: usize) -> Result<(), InvalidVariable> {
    if variables.len() > max {
        return Err(InvalidVariable::TooMany { count: variables.len(), max });
    }
    let mut keys = std::collections::HashSet::new();
    for variable in variables {
        check_key(&variable.key)?;
        if !keys.insert(variable.key.as_str()) {
            return Err(InvalidVariable::Duplicate(variable.key.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variable(key: &str, value: &str, kind: VariableKind) -> Variable {
        Variable { key: key.into(), value: Zeroizing::new(value.into()), kind }
    }

    proptest! {
        #[test]
        fn encoded_variables_decode_to_themselves(
            pairs in prop::collection::vec(("[A-Za-z][A-Za-z0-9_]{0,8}", "(?s).{0,20}"), 0..8),
        ) {
            let kind = VariableKind::Number;
            let all: Vec<_> = pairs.iter().map(|(k, v)| variable(k, v, kind)).collect();
            let text = encode(&all);
            let read = decode(&text).expect("it was encoded");
            let seen = read.iter().map(|v| (v.key.to_owned(), text[v.value.clone()].to_owned()));
            prop_assert_eq!(seen.collect::<Vec<_>>(), pairs);
            prop_assert!(read.iter().all(|variable| variable.kind == kind));
        }

        #[test]
        fn any_other_text_is_refused_without_panic(text in "(?s).{0,60}") {
            if let Some(read) = decode(&text) {
                prop_assert!(read.iter().all(|v| text.get(v.value.clone()).is_some()));
            }
        }
    }

    #[test]
    fn keys_are_identifiers_outside_the_runners_own() {
        for key in ["A", "api_key", "API_KEY_2", "Z9", &"k".repeat(128)] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
        for key in ["", "_a", "9a", "a-b", "a b", "ключ", "a\0", &"k".repeat(129)] {
            assert!(matches!(check_key(key), Err(InvalidVariable::Key(_))), "{key}");
        }
        for key in ["T_ANALYSIS_TOKEN", "TAGOIO_API"] {
            assert_eq!(check_key(key), Err(InvalidVariable::Reserved(key.into())));
        }
    }

    #[test]
    fn a_set_of_variables_has_unique_keys_and_a_cap() {
        let variable = |key: &str| variable(key, "v", VariableKind::String);
        assert_eq!(check_variables(&[variable("A"), variable("B")], 2), Ok(()));
        let twice = check_variables(&[variable("A"), variable("A")], 2);
        assert_eq!(twice, Err(InvalidVariable::Duplicate("A".into())));
        let many = check_variables(&[variable("A"), variable("B")], 1);
        assert_eq!(many, Err(InvalidVariable::TooMany { count: 2, max: 1 }));
    }
}
