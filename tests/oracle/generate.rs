//! Random cases for the comparison, the same for the same seed on every machine.
//!
//! Ids, tag keys and tag values come from small alphabets, so that rules often meet and collide.
//! What [`case`] makes is always well formed; what [`target`] and [`permission`] make often is not.

use serde_json::{Value, json};

use super::{Analysis, Secret};

/// The ids of analyses and secrets alike: a rule for the one must not reach the other.
const IDS: [&str; 5] = [
    "0123456789abcdef01234567",
    "0123456789abcdef01234568",
    "a123456789abcdef01234567",
    "ffffffffffffffffffffffff",
    "000000000000000000000000",
];

/// Tag keys. Some differ in case alone, some are words of the grammar.
const KEYS: [&str; 6] = ["env", "Env", "team", "id", "tag.value", "größe"];

/// Tag values. Some are keys as well.
const VALUES: [&str; 5] = ["prod", "dev", "env", "PROD", "tag_match"];

/// Words that are wrong in most places, and right in a few.
const WORDS: [&str; 20] = [
    "",
    " ",
    "*",
    "id",
    "ID",
    "id ",
    "tag.key",
    "tag.value",
    "tag_match",
    "tag.match",
    "path",
    "reports/",
    "analysis",
    "analyses",
    "secret",
    "secrets",
    "Secrets",
    "access_management",
    "run_user",
    "device",
];

/// Near-ids: too short, too long, not hexadecimal, 24 bytes in 23 characters, spaced.
const NEAR_IDS: [&str; 6] = [
    "0123456789abcdef0123456",
    "0123456789abcdef012345678",
    "0123456789abcdef0123456g",
    "0123456789abcdef012345é",
    "0123456789abcdef0123456 ",
    "+123456789abcdef01234567",
];

/// The resource types with the actions of each, in every accepted spelling.
const CATALOGUE: [(&str, &[&str]); 6] = [
    ("secrets", &["access", "sign", "create", "edit", "delete"]),
    ("secret", &["access", "sign", "create", "edit", "delete"]),
    (
        "analysis",
        &[
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
    ),
    ("access_management", &["access", "create", "edit", "delete"]),
    ("action", &["access", "create", "edit", "delete"]),
    ("device", &["access", "create", "edit", "delete", "token_access", "get_data", "send_data"]),
];

/// Action names that no resource has, or not all.
const ODD_ACTIONS: [&str; 7] = ["run", "upload_analysis", "Access", "", "*", "read", "get_data"];

/// One question: these policies, this analysis, may it have these secrets?
#[derive(Debug, Clone)]
pub struct Case {
    /// Id and body of each policy, in the shape `/am` takes; 0 to 6, some inactive.
    pub policies: Vec<(String, Value)>,
    /// The analysis that asks.
    pub analysis: Analysis,
    /// 1 to 4 secrets with different ids and keys.
    pub secrets: Vec<Secret>,
}

/// The well-formed case of this seed.
pub fn case(seed: u64) -> Case {
    let mut dice = Dice::new(seed);
    let policies = (0..dice.below(7))
        .map(|number| (format!("c0ffee{number:018x}"), policy(&mut dice, number)))
        .collect();
    let analysis = Analysis { id: dice.pick_often_first(&IDS).to_owned(), tags: tags(&mut dice) };
    let start = dice.below(IDS.len());
    let secrets = (0..1 + dice.below(4))
        .map(|number| Secret {
            id: IDS[(start + number) % IDS.len()].to_owned(),
            key: format!("KEY_{number}"),
            tags: tags(&mut dice),
        })
        .collect();
    Case { policies, analysis, secrets }
}

/// A candidate for `targets`: well formed, nearly so, or far from it.
pub fn target(seed: u64) -> Value {
    let mut dice = Dice::new(seed);
    let kind = if dice.chance(90) { "analysis" } else { dice.pick(&WORDS) };
    let sound = selector(&mut dice, kind);
    spoilt(&mut dice, sound)
}

/// A candidate for `permissions`: well formed, nearly so, or far from it.
pub fn permission(seed: u64) -> Value {
    let mut dice = Dice::new(seed);
    let mut permission = sound_permission(&mut dice);
    if dice.chance(40) {
        let resource = permission["resource"].take();
        permission["resource"] = spoilt(&mut dice, resource);
    }
    if dice.chance(15) {
        // May put `create` beside an id, or an action beside a type that lacks it.
        let (_, actions) = CATALOGUE[dice.below(CATALOGUE.len())];
        permission["action"] = json!([dice.pick(actions), dice.pick(actions)]);
    }
    if dice.chance(15) {
        permission["action"] = match dice.below(6) {
            0 => json!([]),
            1 => json!("access"),
            2 => json!(["access", dice.pick(&ODD_ACTIONS)]),
            3 => json!([dice.pick(&ODD_ACTIONS)]),
            4 => json!(["access", odd_value(&mut dice)]),
            _ => odd_value(&mut dice),
        };
    }
    if dice.chance(10) {
        permission["effect"] = match dice.below(3) {
            0 => json!(dice.pick(&["denied", "Allow", "DENY", "", "allow "])),
            1 => json!(["allow"]),
            _ => odd_value(&mut dice),
        };
    }
    if dice.chance(5) {
        let field = dice.pick(&["effect", "action", "resource"]);
        permission = without(permission, field);
    }
    if dice.chance(5) {
        let field = dice.pick(&["actions", "Effect", "id", "condition", ""]);
        permission[field] = json!(["access"]);
    }
    if dice.chance(3) { odd_value(&mut dice) } else { permission }
}

fn policy(dice: &mut Dice, number: usize) -> Value {
    let targets: Vec<Value> = (0..few(dice)).map(|_| selector(dice, "analysis")).collect();
    let permissions: Vec<Value> = (0..few(dice)).map(|_| sound_permission(dice)).collect();
    let policy = json!({
        "name": format!("policy {number}"),
        "active": dice.chance(80),
        "tags": [],
        "targets": targets,
        "permissions": permissions,
    });
    // Active is the default, so leaving it out must mean the same.
    if dice.chance(5) { without(policy, "active") } else { policy }
}

/// Seldom 0, else 1 to 3.
fn few(dice: &mut Dice) -> usize {
    if dice.chance(3) { 0 } else { 1 + dice.below(3) }
}

fn sound_permission(dice: &mut Dice) -> Value {
    let kind = if dice.chance(80) { dice.below(2) } else { 2 + dice.below(2) };
    let (kind, known) = CATALOGUE[kind];
    let resource = selector(dice, kind);
    let mut actions = Vec::new();
    // Most rules are about `access`, for only those can disagree on what is injected.
    if dice.chance(80) {
        actions.push("access");
    }
    while actions.is_empty() || dice.chance(25) {
        let action = dice.pick(known);
        if action == "create" && resource[1] == "id" {
            continue;
        }
        if !actions.contains(&action) {
            actions.push(action);
        }
    }
    let effect = if dice.chance(70) { "allow" } else { "deny" };
    json!({"effect": effect, "action": actions, "resource": resource})
}

/// One of the four forms, well formed if `kind` is.
fn selector(dice: &mut Dice, kind: &str) -> Value {
    match dice.below(8) {
        0 => json!([kind]),
        1 | 2 => {
            let id = dice.pick_often_first(&IDS);
            let id = if dice.chance(10) { id.to_uppercase() } else { id.to_owned() };
            json!([kind, "id", id])
        }
        3..=5 => json!([
            kind,
            "tag.key",
            dice.pick_often_first(&KEYS),
            "tag.value",
            dice.pick_often_first(&VALUES)
        ]),
        _ => json!([kind, "tag_match", dice.pick_often_first(&KEYS)]),
    }
}

/// 0 to 4 tags with different keys.
fn tags(dice: &mut Dice) -> Vec<(String, String)> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for _ in 0..dice.below(5) {
        let key = dice.pick_often_first(&KEYS);
        if tags.iter().all(|(taken, _)| taken != key) {
            tags.push((key.to_owned(), dice.pick_often_first(&VALUES).to_owned()));
        }
    }
    tags
}

/// The tuple after 0 to 2 blows, some of which leave it well formed.
fn spoilt(dice: &mut Dice, tuple: Value) -> Value {
    let Value::Array(mut words) = tuple else { return tuple };
    for _ in 0..dice.below(3) {
        let at = dice.below(words.len().max(1));
        match dice.below(8) {
            0 if !words.is_empty() => drop(words.remove(at)),
            1 => words.insert(at, odd_word(dice)),
            2 => words.push(odd_word(dice)),
            3 if !words.is_empty() => words.rotate_left(1),
            4 => words.truncate(at),
            5 if dice.chance(20) => return odd_value(dice),
            _ if !words.is_empty() => words[at] = odd_word(dice),
            _ => {}
        }
    }
    Value::Array(words)
}

fn odd_word(dice: &mut Dice) -> Value {
    match dice.below(8) {
        0 | 1 => json!(dice.pick(&WORDS)),
        2 => json!(dice.pick(&NEAR_IDS)),
        3 => json!(dice.pick_often_first(&IDS)),
        4 => json!(dice.pick_often_first(&KEYS)),
        5 => json!("ü".repeat(99 + dice.below(3))),
        6 => json!("x".repeat(99 + dice.below(3))),
        _ => odd_value(dice),
    }
}

/// JSON that stands nowhere in the grammar, save that the text may start a tuple.
fn odd_value(dice: &mut Dice) -> Value {
    match dice.below(8) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(24),
        3 => json!(-1.5),
        4 => json!({}),
        5 => json!({"0": "analysis"}),
        6 => json!([["analysis"]]),
        _ => json!("analysis"),
    }
}

fn without(mut object: Value, field: &str) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
    object
}

/// Marsaglia's xorshift64 (Journal of Statistical Software 8(14), 2003), shifts 13, 7, 17.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        // One round of splitmix64 parts neighbouring seeds; xorshift must not start at zero.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)).max(1))
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, which is small and not zero.
    fn below(&mut self, bound: usize) -> usize {
        // The high half: a remainder of the raw state would show its low bits.
        ((self.roll() >> 32) as usize) % bound
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// As `pick`, but the front of the alphabet comes up more, so that rules meet their tags.
    fn pick_often_first<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let reach = 1 + self.below(words.len());
        self.pick(&words[..reach])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Effect, decide, valid_permission, valid_target};
    use super::*;

    const ROUNDS: u64 = 5_000;

    #[test]
    fn a_seed_always_gives_the_same_case_and_another_seed_another() {
        let text = |seed| format!("{:?} {} {}", case(seed), target(seed), permission(seed));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        assert_ne!(text(0), text(u64::MAX));
    }

    #[test]
    fn cases_are_well_formed() {
        for seed in 0..ROUNDS {
            let case = case(seed);
            assert!(case.policies.len() <= 6 && (1..=4).contains(&case.secrets.len()));
            for (index, secret) in case.secrets.iter().enumerate() {
                let mut others = case.secrets[..index].iter();
                assert!(others.all(|other| other.id != secret.id && other.key != secret.key));
            }
            for (id, policy) in case.policies {
                assert_eq!(id.len(), 24);
                assert!(policy["targets"].as_array().unwrap().iter().all(valid_target), "{policy}");
                let permissions = policy["permissions"].as_array().unwrap();
                assert!(permissions.iter().all(valid_permission), "{policy}");
            }
        }
    }

    #[test]
    fn all_three_verdicts_are_frequent() {
        let (mut granted, mut denied, mut silent) = (0, 0, 0);
        for seed in 0..ROUNDS {
            let case = case(seed);
            for secret in &case.secrets {
                match decide(&case.policies, &case.analysis, secret, "access").speakers.first() {
                    Some((_, _, Effect::Allow)) => granted += 1,
                    Some((_, _, Effect::Deny)) => denied += 1,
                    None => silent += 1,
                }
            }
        }
        let tenth = (granted + denied + silent) / 10;
        let tally = format!("{granted} granted, {denied} denied, {silent} silent");
        assert!(granted > tenth && denied > tenth && silent > tenth, "{tally}");
    }

    #[test]
    fn candidates_are_often_right_and_often_wrong() {
        let targets = (0..ROUNDS).filter(|seed| valid_target(&target(*seed))).count();
        let permissions = (0..ROUNDS).filter(|seed| valid_permission(&permission(*seed))).count();
        let fair = ROUNDS as usize / 4..ROUNDS as usize * 3 / 4;
        assert!(fair.contains(&targets) && fair.contains(&permissions), "{targets} {permissions}");
    }
}
