//! What a granted secret looks like outside of the guest: a mark, in whatever spelling and wherever
//! it comes out; and what lies on the disk after runs: nothing in the open.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::guests::{self, Says};
use super::harness::{Api, Place, text};

/// Bytes that every encoding spells in another way.
const SECRET: &str = "hunter>2?ÿ~pass+word/ü";

/// What JSON has to escape.
const QUOTED: &str = "say \"friend\"\\and\tenter";

/// What a key file looks like: the lines count too.
const LINES: &str =
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\n-----END KEY-----";

/// A variable. It is kept sealed like a secret, and not masked.
const VARIABLE: &str = "the variable speaks freely";

const TAG: (&str, &str) = ("team", "red");

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// `%XX` for every byte that is no unreserved character of RFC 3986, or for every byte at all.
fn percent(text: &str, all: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| match plain(byte) && !all {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// A JSON string without its quotes, everything beyond ASCII as `\uXXXX`.
fn ascii_json(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a text is JSON");
    let units = |c: char| {
        let mut buffer = [0; 2];
        let units = c.encode_utf16(&mut buffer).iter();
        units.map(|unit| format!("\\u{unit:04x}")).collect::<String>()
    };
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { units(c) };
    json.trim_matches('"').chars().map(escape).collect()
}

/// Each spelling in which a value is masked, with a name.
fn spellings(value: &str) -> Vec<(String, String)> {
    let mut spelled = vec![
        ("raw".to_owned(), value.to_owned()),
        ("hex".into(), hex(value)),
        ("HEX".into(), hex(value).to_uppercase()),
        ("percent".into(), percent(value, false)),
        ("percent, lower".into(), percent(value, false).replace("%C3%BF", "%c3%bf")),
        ("percent, every byte".into(), percent(value, true)),
        ("form".into(), percent(value, false).replace("%20", "+")),
        ("json".into(), ascii_json(value)),
    ];
    for offset in 0..3 {
        let bytes = [&b"<>?"[..offset], value.as_bytes(), b"~~"].concat();
        spelled.push((format!("base64 at {offset}"), STANDARD.encode(&bytes)));
        spelled.push((format!("base64url at {offset}"), URL_SAFE.encode(&bytes)));
        spelled.push((format!("base64url at {offset}, bare"), URL_SAFE_NO_PAD.encode(&bytes)));
    }
    spelled.push(("base64".into(), STANDARD.encode(value)));
    spelled.push(("base64url".into(), URL_SAFE_NO_PAD.encode(value)));
    spelled
}

/// The part of a spelling that must not be seen: without the characters at its ends, which base64
/// may share with what stands beside the value.
fn core(name: &str, spelled: &str) -> String {
    let cut = if name.starts_with("base64") { 5 } else { 0 };
    let length = spelled.chars().count();
    spelled.chars().skip(cut).take(length - 2 * cut).collect()
}

/// Every text in an answer, keys of objects too, as a client reads them.
fn texts(value: &Value, into: &mut String) {
    match value {
        Value::String(text) => {
            into.push_str(text);
            into.push('\n');
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, into)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.push_str(key);
            into.push('\n');
            texts(value, into);
        }),
        other => into.push_str(&other.to_string()),
    }
}

/// Checks that nothing of the secrets is in `said`, in no spelling.
#[track_caller]
fn assert_masked(place: &str, said: &str) {
    for value in [SECRET, QUOTED, LINES] {
        for (name, spelled) in spellings(value) {
            let core = core(&name, &spelled);
            assert!(!said.contains(&core), "{place} shows {value:?} as {name}: {said}");
        }
    }
    for line in LINES.lines() {
        assert!(!said.contains(line), "{place} shows the line {line:?}: {said}");
    }
}

/// The lines that a guest says: each spelling of each secret with words around it.
fn speech() -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (key, value) in [("TOKEN", SECRET), ("QUOTED", QUOTED), ("LINES", LINES)] {
        for (name, spelled) in spellings(value) {
            lines.push((format!("{key} {name}: <{spelled}> end\n"), key.to_owned()));
        }
    }
    for line in LINES.lines() {
        lines.push((format!("one line: <{line}> end\n"), "LINES".into()));
    }
    lines.push((format!("variable: <{VARIABLE}> end\n"), String::new()));
    lines
}

/// An analysis with three granted secrets and a variable; answers its id.
async fn analysis(api: &Api, name: &str, module: &[u8]) -> String {
    let id = api.analysis(name, module).await;
    let variables = json!({"variables": [{"key": "PLAIN", "value": VARIABLE}]});
    api.put(&format!("/analysis/{id}"), variables).await.ok();
    api.grant(&id, "allow", TAG).await;
    id
}

async fn secrets(api: &Api) {
    for (key, value) in [("TOKEN", SECRET), ("QUOTED", QUOTED), ("LINES", LINES)] {
        api.secret(key, value, TAG).await;
    }
}

/// The whole body of an answer as it is read, checked.
async fn read(api: &Api, path: &str) -> String {
    let answer = api.get(path).await;
    let mut said = String::new();
    texts(&answer.ok(), &mut said);
    said
}

#[tokio::test]
async fn a_secret_is_masked_in_every_spelling_and_however_output_is_cut() {
    let api = Api::open().await;
    secrets(&api).await;
    let speech = speech();
    let whole: String = speech.iter().map(|(line, _)| line.as_str()).collect();
    let chunks = [1, 2, 3, 5, 7, 16, 61, 4096, 65_536];
    let id = analysis(&api, "speaker", &guests::printer(&whole, &chunks)).await;
    let run = api.run(&id, json!([])).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    assert_eq!(run["console_truncated"], false);

    let lines = run["console"].as_array().expect("a console");
    let lines: Vec<_> = lines.iter().map(|line| text(&line["text"])).collect();
    // First its environment, as it really is.
    assert!(lines.contains(&"TOKEN=[secret TOKEN]".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"QUOTED=[secret QUOTED]".to_owned()), "{lines:#?}");
    assert!(lines.contains(&format!("PLAIN={VARIABLE}")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("T_ANALYSIS_ENV=[{")), "{lines:#?}");
    // Then what it said, once for each size of pieces: a mark stands where each secret stood.
    let said = lines.iter().skip_while(|line| !line.starts_with("TOKEN raw")).collect::<Vec<_>>();
    assert_eq!(said.len(), speech.len() * chunks.len(), "{said:#?}");
    for (round, size) in said.chunks(speech.len()).zip(chunks) {
        for (line, (spoken, key)) in round.iter().zip(&speech) {
            let context = format!("chunks of {size}, {spoken:?}: {line:?}");
            let label = spoken.split('<').next().expect("a label");
            assert!(line.starts_with(label) && line.ends_with("> end"), "{context}");
            if key.is_empty() {
                assert_eq!(format!("{line}\n"), *spoken, "{context}");
            } else {
                assert!(line.contains(&format!("[secret {key}]")), "{context}");
                let around = line.len() - label.len() - "<".len() - "> end".len();
                let mark = format!("[secret {key}]").len();
                // Beside the mark, base64 may keep what it shares with its neighbours.
                let kept = if spoken.contains("base64") { 8 } else { 0 };
                assert!(around - mark <= kept, "{context}");
            }
        }
    }

    // Every way to read it.
    let run_id = text(&run["id"]);
    let mut answered = String::new();
    texts(&run, &mut answered);
    assert_masked("the answer of ?wait", &answered);
    for path in [
        format!("/runs/{run_id}"),
        format!("/runs/{run_id}?wait=1"),
        format!("/runs?filter[analysis]={id}"),
        format!("/analysis/{id}"),
        format!("/analysis/{id}/explain"),
        "/secrets?fields[0]=value&fields[1]=key".into(),
    ] {
        assert_masked(&path, &read(&api, &path).await);
    }
    let console = read(&api, &format!("/analysis/{id}")).await;
    assert!(console.contains("[secret TOKEN]"), "{console}");

    // And from the command line.
    let place = api.close().await;
    for args in [
        &["exec", "--analysis", "speaker"][..],
        &["exec", "--analysis", "speaker", "--json"],
        &["run", "start", "speaker"],
        &["run", "console", &run_id],
        &["run", "show", &run_id],
        &["run", "show", &run_id, "--json"],
        &["run", "list"],
        &["analysis", "show", "speaker"],
        &["explain", "speaker"],
        &["secret", "list"],
        &["secret", "show", "TOKEN"],
    ] {
        let ended = place.run(args);
        let said = ended.stderr();
        let printed = ended.ok();
        assert_masked(&format!("{args:?}, stdout"), &printed);
        assert_masked(&format!("{args:?}, stderr"), &said);
        if args[0] == "exec" {
            assert!(said.contains("TOKEN raw: <[secret TOKEN]> end"), "{said}");
            assert!(said.contains(&format!("variable: <{VARIABLE}> end")), "{said}");
        }
    }
}

#[tokio::test]
async fn results_and_errors_are_masked_and_a_result_stays_json() {
    let api = Api::open().await;
    secrets(&api).await;
    let result = json!({
        "raw": SECRET,
        SECRET: [QUOTED, {"deep": format!("a{LINES}z")}],
        "hex": hex(SECRET),
        "base64": STANDARD.encode(SECRET),
        "variable": VARIABLE,
        "number": 1.5,
    });
    let logged = format!("log {SECRET} end");
    let cut = "log hunter>2".len();
    let module = guests::analysis(&logged, cut, Says::Result(&result.to_string()));
    let id = analysis(&api, "answers", &module).await;
    let run = api.run(&id, json!([])).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let expected = json!({
        "raw": "[secret TOKEN]",
        "[secret TOKEN]": ["[secret QUOTED]", {"deep": "a[secret LINES]z"}],
        "hex": "[secret TOKEN]",
        "base64": "[secret TOKEN]",
        "variable": VARIABLE,
        "number": 1.5,
    });
    assert_eq!(run["result"], expected);
    let lines: Vec<_> = run["console"]
        .as_array()
        .expect("a console")
        .iter()
        .map(|line| text(&line["text"]))
        .collect();
    // It logged the values it was given, and a secret across two messages.
    assert!(lines.contains(&"[secret TOKEN]".to_owned()), "{lines:?}");
    assert!(lines.contains(&VARIABLE.to_owned()), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("log [secret TOKEN] end"));

    // A result that is no object, and one that is escaped in a way of its own.
    for (json, masked) in [
        (serde_json::to_string(SECRET).expect("JSON"), json!("[secret TOKEN]")),
        (format!("\"{}\"", ascii_json(SECRET)), json!("[secret TOKEN]")),
        (format!("\"{}\"", ascii_json(QUOTED)), json!("[secret QUOTED]")),
    ] {
        let module = guests::analysis("-", 0, Says::Result(&json));
        api.upload(&id, &module).await.ok();
        assert_eq!(api.run(&id, json!([])).await["result"], masked, "{json}");
    }

    // An error is a text.
    let message = format!("no luck with {SECRET}, {} and {QUOTED}", hex(SECRET));
    let module = guests::analysis("-", 0, Says::Error(&message));
    api.upload(&id, &module).await.ok();
    let run = api.run(&id, json!([])).await;
    assert_eq!(run["fault"]["code"], "error");
    assert_eq!(
        run["fault"]["message"],
        "no luck with [secret TOKEN], [secret TOKEN] and [secret QUOTED]"
    );
    // A result that is no JSON is not repeated in the fault.
    let module = guests::analysis("-", 0, Says::Result(&format!("{{{SECRET}")));
    api.upload(&id, &module).await.ok();
    let run = api.run(&id, json!([])).await;
    assert_eq!(run["fault"]["code"], "invalid_result");
    assert_masked("the fault of a result that is not JSON", &run.to_string());

    let place = api.close().await;
    let ended = place.run(["exec", "--analysis", "answers", "--json"]);
    assert_eq!(ended.code(), 1);
    assert_masked("exec", &(ended.stdout() + &ended.stderr()));
}

#[tokio::test]
async fn a_variable_in_place_of_a_secret_is_not_masked() {
    let api = Api::open().await;
    secrets(&api).await;
    let id = analysis(&api, "speaker", &guests::environment_printer()).await;
    let variables = json!({"variables": [{"key": "TOKEN", "value": "my own token"}]});
    api.put(&format!("/analysis/{id}"), variables).await.ok();
    let run = api.run(&id, json!([])).await.to_string();
    assert!(run.contains("TOKEN=my own token"), "{run}");
    // What was not granted to this run is none of its secrets.
    assert!(!run.contains("[secret TOKEN]") && run.contains("[secret QUOTED]"), "{run}");
}

#[tokio::test]
async fn weak_values_are_masked_as_far_as_their_warnings_say() {
    let api = Api::open().await;
    for (key, value) in [("FOUR", "q#7z"), ("THREE", "x#7")] {
        api.secret(key, value, TAG).await;
    }
    let whole = format!("<q#7z> <{}> <x#7>\n", hex("q#7z"));
    let id = api.analysis("speaker", &guests::printer(&whole, &[4])).await;
    api.grant(&id, "allow", TAG).await;
    let run = api.run(&id, json!([])).await;
    let lines = run["console"].as_array().expect("a console");
    let last = text(&lines.last().expect("a line")["text"]);
    assert_eq!(last, format!("<[secret FOUR]> <{}> <x#7>", hex("q#7z")));
}

/// Whether `bytes` holds `wanted`.
fn holds(bytes: &[u8], wanted: &str) -> bool {
    memchr::memmem::find(bytes, wanted.as_bytes()).is_some()
}

/// Checks every file below `folder`; answers how many there were.
fn search(folder: &Path, plaintexts: &[&str]) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files += search(&path, plaintexts);
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "sock") {
            continue;
        }
        files += 1;
        let bytes = std::fs::read(&path).expect("a file");
        for wanted in plaintexts {
            assert!(!holds(&bytes, wanted), "{} holds {wanted:?}", path.display());
        }
    }
    files
}

#[tokio::test]
async fn the_data_directory_holds_no_plaintext() {
    let plaintexts = [
        SECRET,
        "an older value of it",
        VARIABLE,
        "what the trigger passes",
        "what the analysis prints",
        "what the analysis returns",
        "why the analysis fails",
        "given on the command line",
        // Parts of a value are no less of it.
        "MIIEvQIBADANBgkqhkiG",
    ];
    let api = Api::alone().await;
    secrets(&api).await;
    let token = &api.get("/secrets?filter[key]=TOKEN").await.ok()[0]["id"];
    let token = format!("/secrets/{}", text(token));
    api.put(&token, json!({"value": "an older value of it"})).await.ok();
    api.put(&token, json!({"value": SECRET})).await.ok();
    let result = json!("what the analysis returns").to_string();
    let module = guests::analysis("what the analysis prints", 0, Says::Result(&result));
    let good = analysis(&api, "good", &module).await;
    let module = guests::analysis("-", 0, Says::Error("why the analysis fails"));
    let bad = analysis(&api, "bad", &module).await;
    let scope = json!([{"note": "what the trigger passes"}]);

    // All of it did happen.
    let run = api.run(&good, scope.clone()).await.to_string();
    for said in ["what the analysis prints", "what the analysis returns", "what the trigger passes"]
    {
        assert!(run.contains(said), "{said}: {run}");
    }
    assert!(run.contains(VARIABLE) && run.contains("[secret TOKEN]"), "{run}");
    let run = api.run(&bad, scope.clone()).await.to_string();
    assert!(run.contains("why the analysis fails"), "{run}");
    let exec = json!({
        "scope": scope,
        "environment": [{"key": "OTHER", "value": "given on the command line"}],
    });
    let run = api.post(&format!("/analysis/{good}/exec"), exec).await.ok().to_string();
    assert!(run.contains("given on the command line"), "{run}");

    // While it is open, with the log beside the database, and when it is closed.
    let data = api.place().data();
    assert!(search(&data, &plaintexts) >= 6);
    assert!(data.join("runner.db-wal").exists(), "the log is among what was searched");
    let place = api.close().await;
    assert!(search(&data, &plaintexts) >= 5);
    by_the_binary(&place, &plaintexts);
}

/// The same through the real binary, which is killed at the end.
fn by_the_binary(place: &Place, plaintexts: &[&str]) {
    let server = place.serve();
    let started = ["run", "start", "good", "--scope", r#"{"note": "what the trigger passes"}"#];
    let printed = place.run(started).ok();
    assert!(printed.contains("what the analysis returns"), "{printed}");
    server.kill();
    search(&place.data(), plaintexts);
    // The search itself must be able to find something.
    let database = std::fs::read(place.data().join("runner.db")).expect("the database");
    assert!(holds(&database, "TOKEN"), "keys do stand in the open");
}
