//! A canary in sixteen spellings through each sink of a real guest, and forged entries of the
//! runner's own.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::scene::Scene;
use crate::guests::{self, Says};
use crate::harness::{text, wat};

/// A value that every spelling writes in another way.
const CANARY: &str = "c4nary>\"1?\"\t\u{fc}~+ /end";
const TAG: (&str, &str) = ("team", "canary");

/// The sixteen spellings: a name, the report's word for it, the text, and how many characters at
/// each end base64 may share with its neighbours.
fn spellings() -> Vec<(&'static str, &'static str, String, usize)> {
    let bytes = CANARY.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let every: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
    let uri: String = CANARY
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() || b"~+/".contains(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    let form = uri.replace('+', "%2B").replace('/', "%2F").replace("%20", "+");
    let json = serde_json::to_string(CANARY).expect("JSON").trim_matches('"').to_owned();
    let units: String = CANARY.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let at = |offset: usize| [&b"<>"[..offset], bytes, b"~"].concat();
    vec![
        ("raw", "raw", CANARY.into(), 0),
        ("hexadecimal", "hex", hex.clone(), 0),
        ("hexadecimal, upper case", "hex", hex.to_uppercase(), 0),
        ("base64", "base64", STANDARD.encode(bytes), 2),
        ("base64, no padding", "base64", STANDARD_NO_PAD.encode(bytes), 2),
        ("base64, one byte in", "base64", STANDARD.encode(at(1)), 5),
        ("base64, two bytes in", "base64", STANDARD.encode(at(2)), 5),
        ("base64url", "base64", URL_SAFE.encode(bytes), 2),
        ("base64url, one byte in, no padding", "base64", URL_SAFE_NO_PAD.encode(at(1)), 5),
        ("percent", "percent", uri.clone(), 0),
        ("percent, lower case", "percent", lower(&uri), 0),
        ("percent, every byte", "percent", every, 0),
        ("form", "form", form, 0),
        ("JSON", "json", json.clone(), 0),
        ("JSON, escaped slash", "json", json.replace('/', "\\/"), 0),
        ("JSON, every unit", "json", units, 0),
    ]
}

/// Percent escapes in lower case.
fn lower(text: &str) -> String {
    let mut lower = String::new();
    let mut escape = 0;
    for c in text.chars() {
        escape = if c == '%' { 3 } else { escape };
        lower.push(if escape > 0 { c.to_ascii_lowercase() } else { c });
        escape = usize::saturating_sub(escape, 1);
    }
    lower
}

/// The sinks, each with a guest that puts this into it.
fn guests(lines: &[String]) -> Vec<(&'static str, Vec<u8>)> {
    let whole = lines.join("\n");
    let result = serde_json::to_string(lines).expect("JSON");
    vec![
        ("stdout", guests::printer_to(1, &format!("{whole}\n"), &[7])),
        ("stderr", guests::printer_to(2, &format!("{whole}\n"), &[5])),
        ("console", guests::analysis(&whole, whole.len() / 2, Says::Error("done"))),
        ("result", guests::analysis("-", 0, Says::Result(&result))),
        ("error", guests::analysis("-", 0, Says::Error(&whole))),
    ]
}

/// Every text in an answer.
fn texts(value: &Value, into: &mut String) {
    match value {
        Value::String(text) => *into += &format!("{text}\n"),
        Value::Array(values) => values.iter().for_each(|value| texts(value, into)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, into)),
        other => *into += &other.to_string(),
    }
}

/// The cases for people: the name, and what is asserted.
pub fn table() -> impl Iterator<Item = (String, String)> {
    let sinks = guests(&[]).into_iter().map(|(sink, _)| sink).collect::<Vec<_>>().join(", ");
    let row = move |(name, word, ..): (&str, &str, _, _)| {
        (format!("canary: {name}"), format!("masked in {sinks}; reported as `{word}`"))
    };
    let trap = (
        "canary: name of a function that traps".into(),
        "masked in the fault; reported as `raw`".into(),
    );
    let forged =
        ("forged `T_ANALYSIS_*`".into(), "refused as a key of secrets and variables".into());
    spellings().into_iter().map(row).chain([trap, forged])
}

#[tokio::test]
async fn a_canary_in_sixteen_spellings_leaves_through_no_sink_and_is_reported() {
    let scene = Scene::new().await;
    scene.api.secret("CANARY", CANARY, TAG).await;
    let spellings = spellings();
    assert_eq!(spellings.len(), 16);
    let lines: Vec<_> =
        spellings.iter().map(|(name, _, spelled, _)| format!("{name}: <{spelled}>")).collect();
    for (sink, module) in guests(&lines) {
        let id = scene.analysis(sink, &json!({})).await;
        scene.api.upload(&id, &module).await.ok();
        scene.api.grant(&id, "allow", TAG).await;
        let run = scene.run(&id, json!([])).await;
        let mut seen = run.to_string();
        texts(&run, &mut seen);
        for (name, _, spelled, shared) in &spellings {
            assert!(seen.contains(&format!("{name}: <")), "{sink}: {name} is not there: {seen}");
            let length = spelled.chars().count();
            let core: String = spelled.chars().skip(*shared).take(length - 2 * shared).collect();
            assert!(!seen.contains(&core), "{sink} shows the canary as {name}: {seen}");
        }
        let leaks = run["leaks"].as_array().expect("a report");
        let here = leaks.iter().filter(|leak| leak["sink"] == sink);
        let reported: BTreeSet<_> = here.map(|leak| text(&leak["encoding"])).collect();
        let all = spellings.iter().map(|(_, word, ..)| (*word).to_owned()).collect();
        assert_eq!(reported, all, "{sink}: {leaks:?}");
        assert!(leaks.iter().all(|leak| leak["key"] == "CANARY"), "{leaks:?}");
    }
}

#[tokio::test]
async fn a_trap_does_not_spell_the_canary_by_the_name_of_a_function() {
    let scene = Scene::new().await;
    scene.api.secret("CANARY", "letters-and-1-digit", TAG).await;
    let named = r#"(module (func $f (@name "letters-and-1-digit") unreachable)
        (memory (export "memory") 1) (func (export "_start") (call $f)))"#;
    let id = scene.api.analysis("named", &wat(named)).await;
    scene.api.grant(&id, "allow", TAG).await;
    let run = scene.run(&id, json!([])).await;
    let message = text(&run["fault"]["message"]);
    assert!(message.contains("in `[secret CANARY]`"), "{message}");
    assert_eq!((&run["leaks"][0]["sink"], &run["leaks"][0]["times"]), (&json!("error"), &json!(1)));
}

#[tokio::test]
async fn nobody_forges_what_the_runner_tells_a_guest() {
    let scene = Scene::new().await;
    let id = scene.api.analysis("forger", &guests::environment_printer()).await;
    let keys =
        ["T_ANALYSIS_TOKEN", "T_ANALYSIS_ID", "T_ANALYSIS_ENV", "T_ANALYSIS_X", "TAGOIO_API"];
    for key in keys {
        let entry = json!([{"key": key, "value": "forged by somebody"}]);
        let secret = json!({"key": key, "value": "forged by somebody"});
        let (variables, exec) = (json!({"variables": entry}), json!({"environment": entry}));
        for answer in [
            scene.api.post("/secrets", secret).await,
            scene.api.put(&format!("/analysis/{id}"), variables).await,
            scene.api.post(&format!("/analysis/{id}/exec"), exec).await,
        ] {
            let (code, message) = answer.refused(400);
            assert_eq!(code, "invalid_request", "{key}: {message}");
            assert!(message.contains("reserved"), "{key}: {message}");
        }
    }
    let run = scene.run(&id, json!([])).await;
    let said = run["console"].to_string();
    assert!(said.contains(&format!("T_ANALYSIS_ID={id}")) && !said.contains("forged"), "{said}");
}
