//! Why a policy is refused: where, what was found there, and how to write it right.

use serde_json::Value;

use super::{Form, MAX_NAME_LENGTH, MAX_RULES};
use crate::host::InvalidPattern;
use crate::tag::MAX_TAG_LENGTH;

/// How much of what was found a message shows, in characters.
const MAX_SHOWN: usize = 120;

/// A policy that was not accepted, with all that its author needs to repair it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}; found {found}; {advice}")]
pub struct InvalidPolicy {
    /// The place in the document, such as `targets[1]` or `permissions[0].resource`.
    pub at: String,
    /// Which rule is broken.
    pub problem: Problem,
    /// What stands there, cut to a readable length and free of control characters.
    pub found: String,
    /// What to write instead.
    pub advice: String,
}

/// The rule that a refused policy breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The name is no label of the right length.
    #[error("a policy's name has 1 to {MAX_NAME_LENGTH} characters, no control characters")]
    Name,
    /// Something other than a list, or nothing.
    #[error("this must be a list")]
    NotAList,
    /// An empty list.
    #[error("a policy with an empty list here can never match")]
    Empty,
    /// More than [`MAX_RULES`].
    #[error("at most {MAX_RULES} are allowed")]
    TooMany,
    /// A permission that is no object.
    #[error("a permission is an object")]
    NotAnObject,
    /// A permission with a field that it does not have.
    #[error("a permission has no such field")]
    UnknownField,
    /// No effect, or an unknown one.
    #[error("an effect is \"allow\" or \"deny\"")]
    Effect,
    /// The actions are no list, or an empty one.
    #[error("actions are a list of at least one word")]
    Actions,
    /// An action that the resource type does not have.
    #[error("there is no such action on {0}")]
    UnknownAction(&'static str),
    /// A tuple that is no list, or an empty one.
    #[error("a tuple is a list that begins with a type")]
    NotATuple,
    /// An entry of a tuple that is no string; the field counts from 0.
    #[error("entry {0} of a tuple must be a string")]
    NotAString(usize),
    /// TagoIO's users of a dashboard, as target or as resource.
    #[error("the runner has no run users")]
    RunUser,
    /// A target that is no analysis.
    #[error("a target's type is \"analysis\"")]
    TargetType,
    /// A resource type that is not in the catalogue.
    #[error("there is no such resource type")]
    UnknownType,
    /// The form that TagoIO has for files.
    #[error("the path form is for files, which the runner does not have")]
    Path,
    /// A word where a form begins that begins none.
    #[error("entry 1 of a tuple must be {}", words(.0))]
    UnknownForm(&'static [Form]),
    /// A known form with entries missing, left over, or in another place.
    #[error("this form has exactly {0} entries in a fixed order")]
    Shape(usize),
    /// An id that is none.
    #[error("an id has 24 hexadecimal characters")]
    Id,
    /// A tag key or value that no resource can carry.
    #[error(
        "a tag's key and value have 1 to {MAX_TAG_LENGTH} characters each, no control characters"
    )]
    Tag,
    /// A pattern of hosts that is none.
    #[error(transparent)]
    Host(InvalidPattern),
    /// A form that cannot match anything with this action.
    #[error("the action {0:?} cannot be selected in this form")]
    FormForAction(&'static str),
}

/// The words that begin `forms`: `"id", "tag.key" or "tag_match"`.
fn words(forms: &[Form]) -> String {
    let words = forms.iter().filter_map(|form| form.word());
    let words: Vec<_> = words.map(|word| format!("{word:?}")).collect();
    match &words[..] {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

impl InvalidPolicy {
    /// The refusal of `found` at `at`; a `found` of none says that nothing stands there.
    pub(super) fn new(
        at: impl Into<String>,
        problem: Problem,
        found: Option<&Value>,
        advice: impl Into<String>,
    ) -> Self {
        let found = found.map_or_else(|| "nothing".into(), shown);
        Self { at: at.into(), problem, found, advice: advice.into() }
    }
}

/// The JSON text of `value`, cut to [`MAX_SHOWN`] characters, with nothing a terminal obeys.
pub(crate) fn shown(value: &Value) -> String {
    let json = value.to_string();
    let mut text = String::new();
    for (count, c) in json.chars().enumerate() {
        if count == MAX_SHOWN {
            text.push('…');
            break;
        }
        if c.is_ascii() && !c.is_ascii_control() {
            text.push(c);
        } else {
            text.extend(c.escape_debug());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_names_the_place_the_rule_the_finding_and_the_repair() {
        let refusal =
            InvalidPolicy::new("targets[1]", Problem::Id, Some(&json!(["a", 1])), "write this");
        assert_eq!(
            refusal.to_string(),
            r#"targets[1]: an id has 24 hexadecimal characters; found ["a",1]; write this"#
        );
        let absent = InvalidPolicy::new("targets", Problem::NotAList, None, "write this");
        assert!(absent.to_string().contains("found nothing"));
    }

    #[test]
    fn what_was_found_is_cut_and_cannot_steer_a_terminal() {
        assert_eq!(
            shown(&json!("ü\u{1b}[2J\u{9b}\u{202e}\u{7f}")),
            r#""ü\u001b[2J\u{9b}\u{202e}\u{7f}""#
        );
        let long = shown(&json!("ü".repeat(1_000)));
        assert_eq!(long.chars().count(), MAX_SHOWN + 1);
        assert!(long.ends_with('…'));
    }
}
