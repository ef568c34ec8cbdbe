//! Guests that have a scratch directory and want more: another's, the host's, or too much of it.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::scene::Scene;
use crate::harness::{text, wat};

/// The limit of each guest here, in bytes.
const LIMIT: u64 = 1 << 20;

const WASI: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open_at (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_create_directory"
        (func $mkdir (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_unlink_file"
        (func $unlink (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_symlink"
        (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_link"
        (func $link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_rename"
        (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 8)
    ;; Opens the path at 1024 for reading and writing, with these flags; the descriptor is at 16.
    (func $open (param $length i32) (param $flags i32) (result i32)
        (call $open_at (i32.const 3) (i32.const 0) (i32.const 1024) (local.get $length)
            (local.get $flags) (i64.const 0x42) (i64.const 0) (i32.const 0) (i32.const 16)))
    (func $write (param $length i32) (result i32)
        (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (local.get $length))
        (call $fd_write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))
    (func $sleep (param $milliseconds i64)
        (i64.store (i32.const 48) (i64.const 1))
        (i64.store (i32.const 56) (i64.mul (local.get $milliseconds) (i64.const 1000000)))
        (drop (call $poll (i32.const 32) (i32.const 80) (i32.const 1) (i32.const 120))))
    ;; Ends with this code unless the two are the same.
    (func $expect (param $code i32) (param $one i32) (param $other i32)
        (if (i32.ne (local.get $one) (local.get $other)) (then (call $exit (local.get $code)))))"#;

/// Flags of `path_open`: create, and create nothing that is there.
const CREATE: u32 = 1;
const NEW: u32 = 5;

/// A command with a path at 1024 and more data.
#[track_caller]
fn guest(path: &str, data: &str, body: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module {WASI} (data (i32.const 1024) "{path}") {data} (func (export "_start") {body}))"#
    ))
}

/// Writes for ever to a new file, after `then` was done with it.
fn fills(then: &str) -> Vec<u8> {
    let body = format!(
        "(call $expect (i32.const 9) (call $open (i32.const 4) (i32.const {NEW})) (i32.const 0))
        {then} (loop (drop (call $write (i32.const 65536))) (br 0))"
    );
    guest("file", "", &body)
}

/// Makes files of ever other names.
fn many_files() -> Vec<u8> {
    let body = format!(
        "(local $i i32)
        (loop (i32.store (i32.const 1024)
                (i32.or (i32.const 0x61616161) (i32.and (local.get $i) (i32.const 0x02020202))))
            (i32.store (i32.const 1028) (i32.add (i32.const 0x30303030)
                (i32.add (i32.and (local.get $i) (i32.const 15))
                    (i32.add (i32.shl (i32.and (local.get $i) (i32.const 0xf0)) (i32.const 4))
                        (i32.shl (i32.and (local.get $i) (i32.const 0xf00)) (i32.const 8))))))
            (drop (call $mkdir (i32.const 3) (i32.const 1024) (i32.const 8)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 4096))))
        (call $sleep (i64.const 10000)) (drop (call $open (i32.const 8) (i32.const {CREATE})))"
    );
    guest("", "", &body)
}

/// Makes directories in directories.
fn deep() -> Vec<u8> {
    let body = "(local $length i32)
        (local.set $length (i32.const 1))
        (loop (call $expect (i32.const 9)
                (call $mkdir (i32.const 3) (i32.const 1024) (local.get $length)) (i32.const 0))
            (local.set $length (i32.add (local.get $length) (i32.const 2)))
            (br_if 0 (i32.lt_u (local.get $length) (i32.const 200))))
        (call $sleep (i64.const 10000))";
    guest(&"d/".repeat(150), "", body)
}

/// Opens one file for ever.
fn opens() -> Vec<u8> {
    let body = format!(
        "(loop (call $expect (i32.const 9) (call $open (i32.const 4) (i32.const {CREATE})) (i32.const 0))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 400))))
        (call $sleep (i64.const 10000))"
    );
    guest("file", "", &format!("(local $i i32) {body}"))
}

/// Leaves the directory by one path in every way there is; each is refused, or the exit code says
/// which was not.
fn escape(path: &str) -> Vec<u8> {
    let length = path.len();
    let refused = |code: u32, call: &str| {
        format!("(if (i32.eqz {call}) (then (call $exit (i32.const {code}))))")
    };
    let at = format!("(i32.const 1024) (i32.const {length})");
    let here = "(i32.const 512) (i32.const 4)";
    let body = [
        format!(
            "(drop (call $open_at (i32.const 3) (i32.const 0) {here} (i32.const {NEW}) (i64.const 0x42) (i64.const 0) (i32.const 0) (i32.const 16)))"
        ),
        refused(1, &format!("(call $open (i32.const {length}) (i32.const 0))")),
        refused(2, &format!("(call $open (i32.const {length}) (i32.const {CREATE}))")),
        refused(3, &format!("(call $mkdir (i32.const 3) {at})")),
        refused(4, &format!("(call $unlink (i32.const 3) {at})")),
        refused(
            5,
            &format!(
                "(call $link (i32.const 3) (i32.const 0) {at} (i32.const 3) (i32.const 520) (i32.const 4))"
            ),
        ),
        refused(6, &format!("(call $link (i32.const 3) (i32.const 0) {here} (i32.const 3) {at})")),
        refused(
            7,
            &format!(
                "(call $rename (i32.const 3) {at} (i32.const 3) (i32.const 520) (i32.const 4))"
            ),
        ),
        refused(8, &format!("(call $rename (i32.const 3) {here} (i32.const 3) {at})")),
        // A link may be made, but leads nowhere.
        format!("(drop (call $symlink {at} (i32.const 3) (i32.const 528) (i32.const 4)))"),
        refused(
            9,
            "(call $open_at (i32.const 3) (i32.const 1) (i32.const 528) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16))",
        ),
    ];
    guest(path, r#"(data (i32.const 512) "here    new.    link")"#, &body.join("\n"))
}

/// Guests that want too much: the name, the module, and what the fault says.
fn greedy() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let removed = "(call $expect (i32.const 9)
        (call $unlink (i32.const 3) (i32.const 1024) (i32.const 4)) (i32.const 0))";
    vec![
        ("scratch: writes without end", fills(""), "scratch_bytes is 1048576"),
        ("scratch: writes to a file that it removed", fills(removed), "scratch_bytes is 1048576"),
        ("scratch: files without end", many_files(), "more than 1000 files"),
        ("scratch: 400 files open at once", opens(), "more than 128 files"),
        ("scratch: directories in directories", deep(), "more than 32 deep"),
    ]
}

/// Paths that lead out of a scratch directory.
const ESCAPES: [&str; 9] = [
    "..",
    "../FORMAT",
    "../../FORMAT",
    "../../runner.db",
    "/etc/passwd",
    "/scratch/../../FORMAT",
    "./../../root.key",
    "here/../../../FORMAT",
    "/proc/self/environ",
];

/// The cases for people: the name, and what is asserted.
pub fn table() -> impl Iterator<Item = (String, String)> {
    let greedy = greedy().into_iter().map(|(name, _, words)| {
        (name.to_owned(), format!("fault `scratch_limit`: “{words}”; the directory is gone"))
    });
    let refused = "each of open, create, mkdir, unlink, link, rename and symlink is refused";
    let escapes =
        ESCAPES.iter().map(move |path| (format!("scratch: `{path}`"), refused.to_owned()));
    let other = ("scratch: another run's directory".to_owned(), refused.to_owned());
    greedy.chain(escapes).chain([other])
}

async fn scene() -> Scene {
    Scene::with(|settings| settings.sandbox.caps.scratch_bytes = 1 << 30).await
}

async fn analysis(scene: &Scene, name: &str, module: &[u8]) -> String {
    let limits = json!({"scratch_bytes": LIMIT, "wall_time_ms": 20_000});
    let id = scene.analysis(name, &limits).await;
    scene.api.upload(&id, module).await.ok();
    id
}

/// The scratch directories that are there now.
fn directories(scene: &Scene) -> Vec<PathBuf> {
    let folder = scene.api.place().data().join("scratch");
    let entries = std::fs::read_dir(folder).expect("the folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[tokio::test]
async fn who_fills_the_scratch_directory_is_stopped_and_leaves_nothing() {
    let scene = scene().await;
    for (name, module, words) in greedy() {
        let id = analysis(&scene, name, &module).await;
        let run = scene.run(&id, json!([])).await;
        assert_eq!(run["fault"]["code"], "scratch_limit", "{name}: {run}");
        assert_eq!(run["fault"]["blame"], "analysis", "{name}: {run}");
        assert!(text(&run["fault"]["message"]).contains(words), "{name}: {run}");
        assert_eq!(directories(&scene), Vec::<PathBuf>::new(), "{name}");
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_scratch_directory() {
    let scene = scene().await;
    for path in ESCAPES {
        let id = analysis(&scene, path, &escape(path)).await;
        let run = scene.run(&id, json!([])).await;
        assert_eq!((&run["state"], &run["fault"]), (&json!("succeeded"), &Value::Null), "{path}");
    }
}

#[tokio::test]
async fn nobody_reaches_the_scratch_directory_of_another_run() {
    let scene = scene().await;
    let open = format!("(drop (call $open (i32.const 4) (i32.const {NEW})))");
    let sleeps = format!("{open} (call $sleep (i64.const 3600000))");
    let owner = analysis(&scene, "owner", &guest("file", "", &sleeps)).await;
    let path = format!("/analysis/{owner}/run");
    let started = text(&scene.api.post(&path, json!({})).await.ok()["run"]);
    let found = async {
        loop {
            let found = directories(&scene).into_iter().find(|path| path.join("file").exists());
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let directory = tokio::time::timeout(Duration::from_secs(10), found).await.expect("it starts");
    let name = directory.file_name().expect("a name").to_string_lossy().into_owned();
    for path in [format!("../{name}/file"), format!("../{name}"), directory.display().to_string()] {
        let id = analysis(&scene, &path, &escape(&path)).await;
        let run = scene.run(&id, json!([])).await;
        assert_eq!((&run["state"], &run["fault"]), (&json!("succeeded"), &Value::Null), "{path}");
    }
    assert!(directory.join("file").exists());
    scene.api.post(&format!("/runs/{started}/cancel?wait=10"), json!({})).await.ok();
    assert_eq!(directories(&scene), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_scratch_directory_holds_for_one_run_and_only_where_it_is_asked_for() {
    let scene = scene().await;
    let body = format!(
        "(call $expect (i32.const 9) (call $open (i32.const 4) (i32.const {NEW})) (i32.const 0))
        (call $expect (i32.const 10) (call $write (i32.const 1000)) (i32.const 0))"
    );
    let module = guest("file", "", &body);
    let with = analysis(&scene, "with", &module).await;
    for _ in 0..3 {
        let run = scene.run(&with, json!([])).await;
        assert_eq!(run["state"], "succeeded", "the file of the run before is gone: {run}");
    }
    let without = scene.analysis("without", &json!({})).await;
    scene.api.upload(&without, &module).await.ok();
    let run = scene.run(&without, json!([])).await;
    assert_eq!(run["fault"]["message"], "the command ended with exit code 9", "{run}");
    let much = json!({"limits": {"scratch_bytes": (1_u64 << 30) + 1}});
    let refused = scene.api.put(&format!("/analysis/{with}"), much).await.refused(400);
    assert!(refused.1.contains("scratch_bytes"), "{refused:?}");
}
