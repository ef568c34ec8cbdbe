//! Modules: what is refused at upload, which version runs, and what becomes of files that others
//! changed.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::by_hand;
use super::harness::{Api, Place, sample_bytes, text, wat};

fn console(run: &Value) -> Vec<String> {
    run["console"].as_array().expect("a console").iter().map(|line| text(&line["text"])).collect()
}

/// The files of a folder in the data directory, sorted.
fn files(place: &Place, folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.data().join(folder)).expect("the folder is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// What somebody made of the bytes of a file.
type Change = fn(&[u8]) -> Vec<u8>;

/// What `id` prints when it runs.
async fn prints(api: &Api, id: &str) -> String {
    let run = api.run(id, json!([])).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    console(&run).join("\n")
}

async fn versions(api: &Api, id: &str) -> (Value, Value) {
    let shown = api.get(&format!("/analysis/{id}")).await.ok();
    (shown["version"].clone(), shown["versions"].clone())
}

#[tokio::test]
async fn what_is_no_module_is_refused_with_what_was_found_and_what_to_do() {
    let api = Api::alone().await;
    let id = api.analysis("kept", &by_hand::says("one")).await;
    let whole = sample_bytes("verify-webhook");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    let library = wat(r#"(module (func (export "add") (result i32) i32.const 1))"#);
    let unknown = wat(r#"(module (import "env" "fetch_url" (func)) (import "env" "sleep" (func))
            (func (export "_start")))"#);
    let browser = wat(r#"(module (import "wbg" "x" (func)) (func (export "_start")))"#);
    let http = wat(
        r#"(component (import "wasi:http/incoming-handler@0.2.3" (instance (export "f" (func))))
            (core module $m (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#,
    );
    let handler = wat(
        r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#,
    );
    let other_type = wat(
        r#"(component (core module $m (func (export "run"))) (core instance $m (instantiate $m))
            (func $run (canon lift (core func $m "run")))
            (instance $entry (export "run" (func $run)))
            (export "runner:analysis/entry@1.0.0" (instance $entry)))"#,
    );
    let threads = wat(r#"(module (memory 1 1 shared) (func (export "_start")))"#);
    let table: [(&str, &[u8], &[&str]); 15] = [
        ("nothing", b"", &["empty"]),
        ("text", b"hello", &["a text file", "compile it"]),
        (
            "JavaScript",
            b"const x = 1;\nmodule.exports = async (context) => x;",
            &["JavaScript", "ends in .js or .ts"],
        ),
        ("text form", b"(module)", &["text form", "wat2wasm"]),
        ("a native program", b"\x7fELF\x02\x01\x01", &["native Linux program", "wasm32-wasip1"]),
        ("cut off", &whole[..whole.len() - 100], &["cut off"]),
        ("cut in its header", &whole[..6], &["cut off"]),
        ("damaged", &damaged, &["does not compile"]),
        ("no entry", &library, &["_start", "\"add\""]),
        ("unknown imports", &unknown, &["`env::fetch_url`", "`env::sleep`", "build for WASI"]),
        ("built for browsers", &browser, &["`wbg::x`", "wasm-bindgen"]),
        ("incoming HTTP", &http, &["`wasi:http/incoming-handler@0.2.3`", "outgoing requests"]),
        ("other exports", &handler, &["wasi:http/incoming-handler@0.2.0", "runner:analysis"]),
        ("an entry of another type", &other_type, &["does not fit"]),
        ("threads", &threads, &["not valid", "threads"]),
    ];
    for (name, bytes, words) in table {
        let (code, message) = api.upload(&id, bytes).await.refused(400);
        assert_eq!(code, "invalid_module", "{name}: {message}");
        for word in words {
            assert!(message.contains(word), "{name}: {word} is not in: {message}");
        }
    }
    let (version, all) = versions(&api, &id).await;
    assert_eq!((&version, all.as_object().map(|all| all.len())), (&json!(1), Some(1)));
    assert_eq!(files(api.place(), "modules").len(), 1, "nothing of the refused is kept");
    assert_eq!(prints(&api, &id).await, "one");
}

#[tokio::test]
async fn a_module_larger_than_the_limit_is_refused_while_it_streams() {
    let api = Api::open().await;
    let module = by_hand::says("one");
    let id = api.analysis("small", &module).await;
    let path = format!("/analysis/{id}");
    api.put(&path, json!({"limits": {"module_bytes": module.len()}})).await.ok();
    assert_eq!(api.upload(&id, &module).await.status, StatusCode::OK, "exactly the limit");
    let larger = by_hand::says("four");
    let (code, message) = api.upload(&id, &larger).await.refused(413);
    assert_eq!(code, "too_large");
    assert!(message.contains(&module.len().to_string()), "{message}");
    // The original's form is bounded by what it holds, not by its length as base64.
    let path = format!("{path}/upload");
    let original = |bytes: &[u8]| {
        use base64::Engine as _;
        let file = base64::engine::general_purpose::STANDARD.encode(bytes);
        json!({"file": file, "file_name": "small.wasm", "language": "node"})
    };
    let (code, _) = api.post(&path, original(&larger)).await.refused(413);
    assert_eq!(code, "too_large");
    api.post(&path, original(&module)).await.ok();
    assert_eq!(versions(&api, &id).await.0, 3);
    assert_eq!(prints(&api, &id).await, "one");
}

/// A module whose functions are far more work for the compiler than their bytes suggest. It is put
/// together by hand, because its text form would be work for the test.
fn bomb(functions: usize, steps: usize) -> Vec<u8> {
    // a = a * b + rotl(b, a); if a == 0 { b = a }, where a and b are locals of i64.
    const STEP: [u8; 23] = [
        0x20, 0, 0x20, 1, 0x7e, 0x20, 1, 0x20, 0, 0x89, 0x7c, 0x21, 0, 0x20, 0, 0x50, 0x04, 0x40,
        0x20, 0, 0x21, 1, 0x0b,
    ];
    fn number(mut number: usize, bytes: &mut Vec<u8>) {
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }
    fn section(id: u8, content: &[u8], module: &mut Vec<u8>) {
        module.push(id);
        number(content.len(), module);
        module.extend_from_slice(content);
    }
    let mut body = vec![1, 2, 0x7e];
    (0..steps).for_each(|_| body.extend_from_slice(&STEP));
    body.push(0x0b);
    let (mut of_type, mut code) = (Vec::new(), Vec::new());
    number(functions, &mut of_type);
    of_type.resize(of_type.len() + functions, 0);
    number(functions, &mut code);
    for _ in 0..functions {
        number(body.len(), &mut code);
        code.extend_from_slice(&body);
    }
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[1, 0x60, 0, 0], &mut module);
    section(3, &of_type, &mut module);
    section(7, b"\x01\x06_start\0\0", &mut module);
    section(10, &code, &mut module);
    module
}

#[test]
fn a_module_that_takes_too_long_to_compile_is_refused_in_time() {
    let place = Place::new();
    let good = place.file("good.wasm", by_hand::says("one"));
    let good = good.to_str().expect("a path of text");
    place.run(["analysis", "create", "kept", "--module", good]).ok();
    let bomb = place.file("bomb.wasm", bomb(400, 1_000));
    let mut upload = place.command(["analysis", "upload", "kept"]);
    upload.arg(&bomb).env("RUNNER_COMPILE_SECONDS", "1");
    let started = Instant::now();
    let ended = upload.output().expect("the command runs");
    let took = started.elapsed();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("does not compile within 1 s"), "{stderr}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let ran = place.run(["run", "start", "kept"]);
    assert_eq!((ran.code(), ran.stderr().as_str()), (0, "one\n"));
}

#[test]
fn a_module_that_takes_too_much_memory_to_compile_is_refused() {
    let place = Place::new();
    let good = place.file("good.wasm", by_hand::says("one"));
    let good = good.to_str().expect("a path of text");
    place.run(["analysis", "create", "kept", "--module", good]).ok();
    let bomb = place.file("bomb.wasm", bomb(1, 100_000));
    let mut upload = place.command(["analysis", "upload", "kept"]);
    upload.arg(&bomb).env("RUNNER_COMPILE_MEMORY_BYTES", (1 << 28).to_string());
    let ended = upload.output().expect("the command runs");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("268435456 bytes of memory"), "{stderr}");
    let ran = place.run(["run", "start", "kept"]);
    assert_eq!((ran.code(), ran.stderr().as_str()), (0, "one\n"));
}

#[tokio::test]
async fn every_upload_is_a_version_and_an_earlier_one_can_be_activated() {
    let api = Api::alone().await;
    let made = api.post("/analysis", json!({"name": "versions"})).await.ok();
    let id = text(&made["id"]);
    let modules = [by_hand::says("one"), by_hand::says("two"), by_hand::echo()];
    for (number, module) in (1..).zip(&modules) {
        let uploaded = api.upload(&id, module).await.ok();
        assert_eq!(uploaded["version"], number);
        assert_eq!(uploaded["size"], module.len());
        assert_eq!(versions(&api, &id).await.0, number, "an upload is active at once");
    }
    let (_, all) = versions(&api, &id).await;
    assert_eq!(all["1"]["form"], "command");
    assert_eq!(all["3"]["form"], "component");
    assert_eq!(all["1"]["created_by"], "local:1");

    let path = format!("/analysis/{id}/activate");
    let activated = api.post(&path, json!({"version": 1})).await.ok();
    assert_eq!(activated["digest"], all["1"]["digest"]);
    let run = api.run(&id, json!([])).await;
    assert_eq!((console(&run).join("\n"), &run["version"]), ("one".to_owned(), &json!(1)));
    let (code, message) = api.post(&path, json!({"version": 4})).await.refused(400);
    assert_eq!(code, "no_module");
    assert!(message.contains("no version 4"), "{message}");
    assert_eq!(versions(&api, &id).await.0, 1);

    // The same bytes again are a version of their own, and one file.
    assert_eq!(api.upload(&id, &modules[1]).await.ok()["version"], 4);
    assert_eq!(prints(&api, &id).await, "two");
    assert_eq!(files(api.place(), "modules").len(), 3);
}

#[test]
fn a_queued_run_keeps_the_version_that_was_active_when_it_was_asked_for() {
    let place = Place::new();
    let file = |name: &str, module: Vec<u8>| {
        place.file(name, module).to_str().expect("a path of text").to_owned()
    };
    let (one, two) = (file("1.wasm", by_hand::says("one")), file("2.wasm", by_hand::says("two")));
    place.run(["analysis", "create", "x", "--module", &one]).ok();
    let before = place.run(["run", "start", "x", "--detach"]).ok();
    place.run(["analysis", "upload", "x", &two]).ok();
    let after = place.run(["run", "start", "x", "--detach"]).ok();
    place.run(["analysis", "activate", "x", "1"]).ok();
    // The first command that waits for a run executes those that wait, too.
    assert_eq!(place.run(["run", "start", "x"]).stderr(), "one\n");
    for (run, version, printed) in [(before, 1, "one"), (after, 2, "two")] {
        let shown = place.run(["run", "show", run.trim(), "--json"]).ok();
        let run: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!((&run["version"], console(&run).join("\n")), (&json!(version), printed.into()));
    }
}

#[tokio::test]
async fn an_artefact_that_was_changed_on_disk_is_compiled_again() {
    let api = Api::open().await;
    let id = api.analysis("one", &by_hand::says("one")).await;
    let mut place = api.close().await;
    let artefacts = files(&place, "artefacts");
    assert_eq!(artefacts.len(), 1);
    let good = fs::read(&artefacts[0]).expect("the artefact");
    let cases: [Change; 3] = [
        |good| {
            let mut bad = good.to_vec();
            bad[good.len() / 2] ^= 1;
            bad
        },
        |good| good[..good.len() / 2].to_vec(),
        |_| Vec::new(),
    ];
    for case in cases {
        fs::write(&artefacts[0], case(&good)).expect("the artefact can be changed");
        let api = Api::open_at(place).await;
        assert_eq!(prints(&api, &id).await, "one");
        place = api.close().await;
        let again = fs::read(&artefacts[0]).expect("a new artefact");
        assert_eq!(again.len(), good.len(), "the artefact was put right");
    }
    // One of another module is not taken for this one's.
    let api = Api::open_at(place).await;
    let other = api.analysis("two", &by_hand::says("two")).await;
    let place = api.close().await;
    let both = files(&place, "artefacts");
    let others = both.iter().find(|path| **path != artefacts[0]).expect("a second artefact");
    fs::copy(others, &artefacts[0]).expect("the artefact can be changed");
    let api = Api::open_at(place).await;
    assert_eq!(prints(&api, &id).await, "one");
    assert_eq!(prints(&api, &other).await, "two");
}

#[tokio::test]
async fn a_module_that_is_gone_or_changed_fails_its_runs_until_it_is_uploaded_again() {
    let module = by_hand::says("one");
    let api = Api::alone().await;
    let id = api.analysis("one", &module).await;
    let mut place = api.close().await;
    let forget = |place: &Place| {
        files(place, "artefacts").iter().for_each(|file| fs::remove_file(file).expect("removed"));
    };
    for changed in [Some(by_hand::says("two")), Some(Vec::new()), None] {
        let file = files(&place, "modules").remove(0);
        match &changed {
            Some(bytes) => fs::write(&file, bytes).expect("the module can be changed"),
            None => fs::remove_file(&file).expect("the module can be removed"),
        }
        forget(&place);
        let api = Api::open_at(place).await;
        let run = api.run(&id, json!([])).await;
        let what = changed.as_ref().map(Vec::len);
        assert_eq!(run["state"], "failed", "{what:?}: {run}");
        assert_eq!(run["fault"]["code"], "module_unreadable", "{what:?}: {run}");
        assert_eq!(run["fault"]["blame"], "store");
        let message = text(&run["fault"]["message"]);
        assert!(message.contains("upload it again"), "{message}");
        assert_eq!(console(&run), [""; 0], "nothing ran");
        // As the message says.
        api.upload(&id, &module).await.ok();
        assert_eq!(prints(&api, &id).await, "one");
        place = api.close().await;
    }
}

#[tokio::test]
async fn deleting_an_analysis_removes_the_module_files_that_no_other_uses() {
    let api = Api::alone().await;
    let (shared, own) = (by_hand::says("shared"), by_hand::says("own"));
    let first = api.analysis("first", &shared).await;
    let second = api.analysis("second", &shared).await;
    api.upload(&second, &own).await.ok();
    assert_eq!(files(api.place(), "modules").len(), 2);
    api.delete(&format!("/analysis/{second}")).await.ok();
    let left = files(api.place(), "modules");
    assert_eq!(left.len(), 1);
    assert_eq!(files(api.place(), "artefacts").len(), 1);
    assert_eq!(fs::read(&left[0]).expect("the module"), shared);
    assert_eq!(prints(&api, &first).await, "shared");
    api.delete(&format!("/analysis/{first}")).await.ok();
    assert_eq!(files(api.place(), "modules"), [""; 0].map(PathBuf::from));
    assert_eq!(files(api.place(), "artefacts"), [""; 0].map(PathBuf::from));
}
