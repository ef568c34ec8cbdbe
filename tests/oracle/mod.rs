//! A second opinion on policies: a naive evaluator to compare the real one with.
//!
//! It was written from the text of the rules, works on the JSON of policies as a client sends them,
//! and shares no code with the crate. It owns slow and obvious answers and refuses to be clever:
//! where both evaluators agree on many random cases, they have understood the text the same way.

pub mod generate;

use serde_json::Value;

/// What the rules know of the analysis that asks.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// 24 hexadecimal characters.
    pub id: String,
    /// Key and value pairs; a key stands at most once.
    pub tags: Vec<(String, String)>,
}

/// What the rules know of the secret that is asked for.
#[derive(Debug, Clone)]
pub struct Secret {
    /// 24 hexadecimal characters.
    pub id: String,
    /// The name under which it would be injected. No rule looks at it.
    pub key: String,
    /// Key and value pairs; a key stands at most once.
    pub tags: Vec<(String, String)>,
}

/// What a permission does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It grants.
    Allow,
    /// It refuses, whatever else grants.
    Deny,
}

/// The answer for one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the analysis may do the action on the secret.
    pub granted: bool,
    /// Every permission that matches with the winning effect: the policy's id, the permission's
    /// place in the policy as it was sent, the effect. Empty where no permission matches.
    pub speakers: Vec<(String, usize, Effect)>,
}

/// Asks every permission of every policy, given as (id, body), and lets deny win.
///
/// A policy with a malformed target or permission would have been refused on arrival, so it is
/// passed over as if it did not exist.
pub fn decide(
    policies: &[(String, Value)],
    analysis: &Analysis,
    secret: &Secret,
    action: &str,
) -> Verdict {
    let mut allows = Vec::new();
    let mut denies = Vec::new();
    for (id, policy) in policies {
        if !is_active(policy) || !is_well_formed(policy) || !targets(policy, analysis) {
            continue;
        }
        for (index, permission) in list(policy, "permissions").iter().enumerate() {
            if !covers(permission, analysis, secret, action) {
                continue;
            }
            if permission["effect"] == "allow" {
                allows.push((id.clone(), index, Effect::Allow));
            }
            if permission["effect"] == "deny" {
                denies.push((id.clone(), index, Effect::Deny));
            }
        }
    }
    if !denies.is_empty() {
        return Verdict { granted: false, speakers: denies };
    }
    Verdict { granted: !allows.is_empty(), speakers: allows }
}

/// Whether `target` is a form that a policy's `targets` may hold.
pub fn valid_target(target: &Value) -> bool {
    match words(target) {
        Some(words) => words.first() == Some(&"analysis") && valid_selector(&words),
        None => false,
    }
}

/// Whether `permission` is one that a policy's `permissions` may hold.
pub fn valid_permission(permission: &Value) -> bool {
    let Some(fields) = permission.as_object() else { return false };
    for name in fields.keys() {
        if name != "effect" && name != "action" && name != "resource" {
            return false;
        }
    }
    if permission["effect"] != "allow" && permission["effect"] != "deny" {
        return false;
    }
    let Some(resource) = words(&permission["resource"]) else { return false };
    if !valid_selector(&resource) {
        return false;
    }
    let Some(actions) = words(&permission["action"]) else { return false };
    if actions.is_empty() {
        return false;
    }
    for action in actions {
        if !actions_of(resource[0]).contains(&action) {
            return false;
        }
        // What does not exist yet has no id to name it by.
        if action == "create" && resource.get(1) == Some(&"id") {
            return false;
        }
    }
    true
}

/// The words of a tuple; `None` for what is not an array of strings.
fn words(tuple: &Value) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    for word in tuple.as_array()? {
        words.push(word.as_str()?);
    }
    Some(words)
}

/// One of the four forms, with a type first.
fn valid_selector(words: &[&str]) -> bool {
    match words {
        [_] => true,
        [_, "id", id] => is_id(id),
        [_, "tag.key", key, "tag.value", value] => fits_a_tag(key) && fits_a_tag(value),
        [_, "tag_match", key] => fits_a_tag(key),
        _ => false,
    }
}

fn is_id(text: &str) -> bool {
    text.chars().count() == 24 && text.chars().all(|c| c.is_ascii_hexdigit())
}

fn fits_a_tag(text: &str) -> bool {
    let length = text.chars().count();
    (1..=100).contains(&length)
}

/// The actions a resource type knows; none for an unknown type.
fn actions_of(resource: &str) -> &'static [&'static str] {
    match resource {
        "secrets" | "secret" => &["access", "sign", "create", "edit", "delete"],
        "access_management" | "action" => &["access", "create", "edit", "delete"],
        "device" => {
            &["access", "create", "edit", "delete", "token_access", "get_data", "send_data"]
        }
        "analysis" => &[
            "access",
            "create",
            "edit",
            "delete",
            "run",
            "run_analysis",
            "upload",
            "upload_analysis",
            "download",
            "download_analysis",
        ],
        _ => &[],
    }
}

/// A list inside a policy; what is missing or no list counts as empty.
fn list<'a>(policy: &'a Value, name: &str) -> &'a [Value] {
    match policy.get(name).and_then(Value::as_array) {
        Some(items) => items,
        None => &[],
    }
}

/// A policy is active unless it says otherwise.
fn is_active(policy: &Value) -> bool {
    match policy.get("active") {
        Some(active) => *active == Value::Bool(true),
        None => true,
    }
}

fn is_well_formed(policy: &Value) -> bool {
    list(policy, "targets").iter().all(valid_target)
        && list(policy, "permissions").iter().all(valid_permission)
}

/// Whether any one target is this analysis.
fn targets(policy: &Value, analysis: &Analysis) -> bool {
    for target in list(policy, "targets") {
        let Some(words) = words(target) else { continue };
        let matches = match words[..] {
            ["analysis"] => true,
            ["analysis", "id", id] => same_id(id, &analysis.id),
            ["analysis", "tag.key", key, "tag.value", value] => {
                value_of(&analysis.tags, key) == Some(value)
            }
            ["analysis", "tag_match", key] => value_of(&analysis.tags, key).is_some(),
            _ => false,
        };
        if matches {
            return true;
        }
    }
    false
}

/// Whether the permission speaks about this action on this secret, to allow or to deny.
fn covers(permission: &Value, analysis: &Analysis, secret: &Secret, action: &str) -> bool {
    let Some(actions) = words(&permission["action"]) else { return false };
    if !actions.contains(&action) {
        return false;
    }
    let Some(resource) = words(&permission["resource"]) else { return false };
    match resource[..] {
        ["secrets" | "secret"] => true,
        ["secrets" | "secret", "id", id] => same_id(id, &secret.id),
        ["secrets" | "secret", "tag.key", key, "tag.value", value] => {
            value_of(&secret.tags, key) == Some(value)
        }
        ["secrets" | "secret", "tag_match", key] => {
            match (value_of(&analysis.tags, key), value_of(&secret.tags, key)) {
                (Some(of_the_analysis), Some(of_the_secret)) => of_the_analysis == of_the_secret,
                _ => false,
            }
        }
        _ => false,
    }
}

/// Ids are hexadecimal numbers, so the case of their letters says nothing.
fn same_id(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn value_of<'a>(tags: &'a [(String, String)], key: &str) -> Option<&'a str> {
    for (k, value) in tags {
        if k == key {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
