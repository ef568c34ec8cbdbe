//! The tuple grammar that targets and permissions share, read strictly.
//!
//! | meaning | tuple |
//! |---|---|
//! | any | `[type]` |
//! | one by id | `[type,"id",id]` |
//! | tag pair | `[type,"tag.key",key,"tag.value",value]` |
//! | tag match | `[type,"tag_match",key]` |
//! | hosts | `["network","host",pattern]` |
//!
//! TagoIO stores other shapes and never matches them; here each is refused with a message that
//! shows the right one. What a tuple selects is for [`decide`](super::decide) to say.

use serde_json::{Value, json};

use super::catalogue::{Form, ResourceType};
use super::refusal::{InvalidPolicy, Problem};
use super::{Selector, Target};
use crate::tag::{MAX_TAG_LENGTH, Tag, is_label};

/// TagoIO's people in front of a dashboard: a type that the runner knows only to refuse it.
const RUN_USER: &str = "run_user";

/// Reads one entry of a policy's targets, which stands at `at`.
pub(super) fn parse_target(value: &Value, at: &str) -> Result<Target, InvalidPolicy> {
    let word = ResourceType::Analysis.word();
    let texts = texts(Some(value), at, word)?;
    if texts[0] != word {
        let problem = if texts[0] == RUN_USER { Problem::RunUser } else { Problem::TargetType };
        return Err(InvalidPolicy::new(at, problem, Some(value), any_of(Form::STORED, word)));
    }
    parse_selector(&texts[1..], value, at, ResourceType::Analysis).map(Target)
}

/// Reads the resource of a permission, which stands at `at`; there may be none.
pub(super) fn parse_resource(
    value: Option<&Value>,
    at: &str,
) -> Result<(ResourceType, Selector), InvalidPolicy> {
    let texts = texts(value, at, ResourceType::Secrets.word())?;
    let Some(resource) = ResourceType::from_word(texts[0]) else {
        let run_user = texts[0] == RUN_USER;
        let problem = if run_user { Problem::RunUser } else { Problem::UnknownType };
        let words = ResourceType::ALL.iter().map(|known| format!("{:?}", known.word()));
        let advice = format!("the types are {}", listed(words));
        return Err(InvalidPolicy::new(at, problem, value, advice));
    };
    let whole = value.unwrap_or(&Value::Null);
    Ok((resource, parse_selector(&texts[1..], whole, at, resource)?))
}

/// The entries of a tuple: at least one, all of them strings.
fn texts<'v>(
    value: Option<&'v Value>,
    at: &str,
    word: &str,
) -> Result<Vec<&'v str>, InvalidPolicy> {
    let refuse = |problem| InvalidPolicy::new(at, problem, value, any_of(Form::STORED, word));
    let entries = value
        .and_then(Value::as_array)
        .filter(|entries| !entries.is_empty())
        .ok_or_else(|| refuse(Problem::NotATuple))?;
    let text = |(index, entry): (usize, &'v Value)| {
        entry.as_str().ok_or_else(|| refuse(Problem::NotAString(index)))
    };
    entries.iter().enumerate().map(text).collect()
}

/// Reads what follows the type; `whole` and `at` are for the message.
fn parse_selector(
    rest: &[&str],
    whole: &Value,
    at: &str,
    resource: ResourceType,
) -> Result<Selector, InvalidPolicy> {
    let (word, forms) = (resource.word(), resource.all_forms());
    let refuse = |problem, forms| InvalidPolicy::new(at, problem, Some(whole), any_of(forms, word));
    if let [first, ..] = rest
        && !forms.iter().any(|form| form.word() == Some(first))
    {
        let problem = if *first == "path" { Problem::Path } else { Problem::UnknownForm(forms) };
        return Err(refuse(problem, forms));
    }
    let fits = |text: &str| is_label(text, MAX_TAG_LENGTH);
    match *rest {
        [] => Ok(Selector::Any),
        ["id", id] => id.parse().map(Selector::Id).map_err(|_| refuse(Problem::Id, &[Form::Id])),
        ["tag.key", key, "tag.value", value] if fits(key) && fits(value) => {
            Ok(Selector::Tag(Tag { key: key.into(), value: value.into() }))
        }
        ["tag_match", key] if fits(key) => Ok(Selector::TagMatch(key.into())),
        ["tag.key", _, "tag.value", _] => Err(refuse(Problem::Tag, &[Form::Tag])),
        ["tag_match", _] => Err(refuse(Problem::Tag, &[Form::TagMatch])),
        ["id", ..] => Err(refuse(Problem::Shape(3), &[Form::Id])),
        ["tag.key", ..] => Err(refuse(Problem::Shape(5), &[Form::Tag])),
        ["tag_match", ..] => Err(refuse(Problem::Shape(3), &[Form::TagMatch])),
        ["host", pattern] => pattern
            .parse()
            .map(Selector::Host)
            .map_err(|why| refuse(Problem::Host(why), &[Form::Host])),
        _ => Err(refuse(Problem::Shape(3), &[Form::Host])),
    }
}

/// `write` and the templates of `forms`.
fn any_of(forms: &[Form], word: &str) -> String {
    format!("write {}", listed(forms.iter().map(|form| form.template(word))))
}

/// `a, b or c`.
fn listed(parts: impl IntoIterator<Item = String>) -> String {
    let mut parts: Vec<_> = parts.into_iter().collect();
    match parts.pop() {
        Some(last) if !parts.is_empty() => format!("{} or {last}", parts.join(", ")),
        only => only.unwrap_or_default(),
    }
}

impl Selector {
    /// Which form this is.
    pub const fn form(&self) -> Form {
        match self {
            Self::Any => Form::Any,
            Self::Id(_) => Form::Id,
            Self::Tag(_) => Form::Tag,
            Self::TagMatch(_) => Form::TagMatch,
            Self::Host(_) => Form::Host,
        }
    }

    /// The tuple for this selector of the type `word`.
    pub(super) fn to_tuple(&self, word: &str) -> Value {
        match self {
            Self::Any => json!([word]),
            Self::Id(id) => json!([word, "id", id]),
            Self::Tag(tag) => json!([word, "tag.key", tag.key, "tag.value", tag.value]),
            Self::TagMatch(key) => json!([word, "tag_match", key]),
            Self::Host(pattern) => json!([word, "host", pattern.to_string()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::arbitrary;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef01234567";

    fn refused(value: Value) -> (Problem, String) {
        let refusal = parse_target(&value, "targets[1]").unwrap_err();
        let text = refusal.to_string();
        assert!(text.starts_with("targets[1]: "), "{text}");
        assert!(text.contains(&format!("; found {value}; write [\"analysis\"")), "{text}");
        (refusal.problem, text)
    }

    #[test]
    fn the_four_forms_are_read() {
        let read = |value: Value| parse_target(&value, "targets[0]").unwrap().0;
        assert_eq!(read(json!(["analysis"])), Selector::Any);
        assert_eq!(read(json!(["analysis", "id", ID])), Selector::Id(ID.parse().unwrap()));
        assert_eq!(
            read(json!(["analysis", "tag.key", "env", "tag.value", "prod"])),
            Selector::Tag(Tag { key: "env".into(), value: "prod".into() })
        );
        assert_eq!(read(json!(["analysis", "tag_match", "env"])), Selector::TagMatch("env".into()));
    }

    #[test]
    fn tag_texts_that_look_like_separators_are_texts() {
        let value = json!(["secrets", "tag.key", "tag.value", "tag.value", "tag.key"]);
        let (_, selector) = parse_resource(Some(&value), "r").unwrap();
        let tag = Tag { key: "tag.value".into(), value: "tag.key".into() };
        assert_eq!(selector, Selector::Tag(tag));
    }

    #[test]
    fn the_spelling_secret_is_read_and_secrets_written() {
        let value = json!(["secret", "id", ID.to_uppercase()]);
        let (resource, selector) = parse_resource(Some(&value), "r").unwrap();
        assert_eq!(resource, ResourceType::Secrets);
        assert_eq!(selector.to_tuple(resource.word()), json!(["secrets", "id", ID]));
    }

    #[test]
    fn wrong_arity_and_separators_are_refused_with_the_form_meant() {
        for (value, entries, form) in [
            (json!(["analysis", "id"]), 3, Form::Id),
            (json!(["analysis", "id", ID, ID]), 3, Form::Id),
            (json!(["analysis", "tag.key", "env"]), 5, Form::Tag),
            (json!(["analysis", "tag.key", "env", "tag.value"]), 5, Form::Tag),
            (json!(["analysis", "tag.key", "env", "prod"]), 5, Form::Tag),
            (json!(["analysis", "tag.key", "env", "tag_value", "prod"]), 5, Form::Tag),
            (json!(["analysis", "tag.key", "env", "tag.value", "prod", "more"]), 5, Form::Tag),
            (json!(["analysis", "tag_match"]), 3, Form::TagMatch),
            (json!(["analysis", "tag_match", "env", "prod"]), 3, Form::TagMatch),
        ] {
            let (problem, text) = refused(value);
            assert_eq!(problem, Problem::Shape(entries), "{text}");
            assert!(text.ends_with(&format!("write {}", form.template("analysis"))), "{text}");
        }
    }

    #[test]
    fn unknown_forms_are_refused_and_all_forms_shown() {
        for word in ["", "ID", "tag", "tags", "tag.value", "any", "host", ID] {
            let (problem, text) = refused(json!(["analysis", word, "x"]));
            assert_eq!(problem, Problem::UnknownForm(Form::STORED), "{text}");
            assert!(
                Form::STORED.iter().all(|form| text.contains(&form.template("analysis"))),
                "{text}"
            );
        }
        let (problem, text) = refused(json!(["analysis", "path", "reports/"]));
        assert_eq!(problem, Problem::Path);
        assert!(text.contains("the path form is for files"), "{text}");
    }

    #[test]
    fn hosts_are_read_in_their_normal_form() {
        let read = |value: Value| parse_resource(Some(&value), "r");
        let tuple = |text: &str| {
            let (resource, selector) = read(json!(["network", "host", text]))?;
            assert_eq!(resource, ResourceType::Network);
            Ok::<_, InvalidPolicy>(selector.to_tuple(resource.word()))
        };
        for (text, written) in [
            ("API.Example.com.", "api.example.com"),
            ("*.BÜCHER.example:8443", "*.xn--bcher-kva.example:8443"),
            ("http://192.0.2.1", "http://192.0.2.1"),
        ] {
            assert_eq!(tuple(text), Ok(json!(["network", "host", written])));
        }
        assert_eq!(
            tuple("*.com").unwrap_err().to_string(),
            "r: a star stands for everything below a name of at least two labels, as in \
             *.example.com; found [\"network\",\"host\",\"*.com\"]; write \
             [\"network\",\"host\",\"api.example.com\"]"
        );
        for shape in [json!(["network", "host"]), json!(["network", "host", "a", "b"])] {
            assert_eq!(read(shape).unwrap_err().problem, Problem::Shape(3));
        }
        for other in [json!(["network", "id", ID]), json!(["network", "tag_match", "env"])] {
            let refusal = read(other).unwrap_err();
            assert_eq!(refusal.problem, Problem::UnknownForm(Form::NETWORK));
            assert!(refusal.to_string().contains("must be \"host\""), "{refusal}");
        }
    }

    #[test]
    fn ids_and_tags_keep_their_rules() {
        for id in ["", "abc", "0123456789abcdef0123456g", "0123456789abcdef012345678"] {
            assert_eq!(refused(json!(["analysis", "id", id])).0, Problem::Id);
        }
        let widest = "ü".repeat(MAX_TAG_LENGTH);
        assert!(parse_target(&json!(["analysis", "tag_match", widest]), "t").is_ok());
        let wider = "u".repeat(MAX_TAG_LENGTH + 1);
        for (key, value) in [("", "v"), ("k", ""), (wider.as_str(), "v"), ("k", wider.as_str())] {
            let tuple = json!(["analysis", "tag.key", key, "tag.value", value]);
            let refusal = parse_target(&tuple, "t").unwrap_err();
            assert_eq!(refusal.problem, Problem::Tag);
        }
        for key in ["", wider.as_str()] {
            let refusal = parse_target(&json!(["analysis", "tag_match", key]), "t").unwrap_err();
            assert_eq!(refusal.problem, Problem::Tag);
        }
    }

    #[test]
    fn wrong_json_types_are_refused() {
        for value in
            [json!(null), json!("analysis"), json!({"type": "analysis"}), json!([]), json!(1)]
        {
            assert_eq!(refused(value).0, Problem::NotATuple);
        }
        assert_eq!(refused(json!([null])).0, Problem::NotAString(0));
        assert_eq!(refused(json!(["analysis", "id", 5])).0, Problem::NotAString(2));
        assert_eq!(refused(json!(["analysis", ["id", ID]])).0, Problem::NotAString(1));
    }

    #[test]
    fn run_users_are_refused_as_such() {
        let (problem, text) = refused(json!(["run_user", "tag_match", "env"]));
        assert_eq!(problem, Problem::RunUser);
        assert!(text.contains("the runner has no run users"), "{text}");
        let refusal = parse_resource(Some(&json!(["run_user"])), "r").unwrap_err();
        assert_eq!(refusal.problem, Problem::RunUser);
    }

    #[test]
    fn other_types_are_refused_with_those_there_are() {
        assert_eq!(refused(json!(["secrets"])).0, Problem::TargetType);
        assert_eq!(refused(json!(["analyses"])).0, Problem::TargetType);
        let file = json!(["file", "path", "reports/"]);
        let refusal = parse_resource(Some(&file), "permissions[0].resource").unwrap_err();
        assert_eq!(refusal.problem, Problem::UnknownType);
        assert_eq!(
            refusal.to_string(),
            "permissions[0].resource: there is no such resource type; found \
             [\"file\",\"path\",\"reports/\"]; the types are \"secrets\", \"analysis\", \
             \"action\", \"access_management\", \"device\" or \"network\""
        );
        let absent = parse_resource(None, "permissions[0].resource").unwrap_err();
        assert_eq!((absent.problem, absent.found.as_str()), (Problem::NotATuple, "nothing"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(target in arbitrary::target(), permission in arbitrary::permission()) {
            prop_assert_eq!(parse_target(&target.to_json(), "t"), Ok(target));
            let tuple = permission.selector.to_tuple(permission.resource.word());
            let read = parse_resource(Some(&tuple), "r");
            prop_assert_eq!(read, Ok((permission.resource, permission.selector)));
        }

        #[test]
        fn what_is_read_was_canonical_or_an_alias(value in arbitrary::near_tuple()) {
            // Anything accepted means the same when written and read again.
            if let Ok((resource, selector)) = parse_resource(Some(&value), "r") {
                let tuple = selector.to_tuple(resource.word());
                prop_assert_eq!(tuple.as_array().map(Vec::len), value.as_array().map(Vec::len));
                prop_assert_eq!(parse_resource(Some(&tuple), "r"), Ok((resource, selector)));
            }
            if let Ok(target) = parse_target(&value, "t") {
                prop_assert_eq!(target.to_json(), value);
            }
        }
    }
}
