//! Modules that mean harm while they run: each ends with its fault and its words, and everything
//! around it is as before.

use serde_json::{Value, json};

use super::scene::Scene;
use crate::by_hand;
use crate::harness::wat;

/// How a guest ends.
enum Ends {
    /// With this fault, whose message holds these words.
    Fault(&'static str, &'static str),
    /// Well, and this holds for its run, in words and in code.
    Well(&'static str, fn(&Value) -> bool),
}
use Ends::{Fault, Well};

/// One guest.
struct Case {
    name: &'static str,
    module: Vec<u8>,
    limits: Value,
    ends: Ends,
}

/// WASI functions that only hostile guests need.
const MORE: &str = r#"
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))"#;

/// A module with a megabyte of memory, these definitions and this `_start`.
#[track_caller]
fn module(definitions: &str, body: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module {MORE} (memory (export "memory") 16) {definitions}
            (func $start (export "_start") {body}))"#
    ))
}

/// A command component that calls `$call` of an imported instance, for ever.
#[track_caller]
fn forever(imports: &str, lowered: &str, ty: &str, call: &str) -> Vec<u8> {
    wat(&format!(
        r#"(component {imports}
            (core module $libc (memory (export "memory") 4)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536))
            (core instance $libc (instantiate $libc))
            {lowered}
            (core module $main
                (import "host" "call" (func $call {ty}))
                (import "libc" "memory" (memory 1))
                (func (export "run") (result i32) (loop {call} (br 0)) unreachable))
            (core instance $main (instantiate $main
                (with "host" (instance (export "call" (func $call))))
                (with "libc" (instance $libc))))
            (func $run (result (result)) (canon lift (core func $main "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#
    ))
}

const POLL: &str = r#"(import "wasi:io/poll@0.2.3"
        (instance $poll (export "pollable" (type (sub resource)))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.3" (instance $clock
        (alias outer 1 $pollable (type $outer))
        (export "pollable" (type $p (eq $outer)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
    (alias export $clock "subscribe-duration" (func $f))"#;

const HTTP: &str = r#"(import "wasi:http/types@0.2.3" (instance $http
        (export "fields" (type $fields (sub resource)))
        (type $e (variant (case "invalid-syntax") (case "forbidden") (case "immutable")))
        (export "header-error" (type $error (eq $e)))
        (type $r (result (error $error)))
        (export "[constructor]fields" (func (result (own $fields))))
        (export "[method]fields.append" (func (param "self" (borrow $fields))
            (param "name" string) (param "value" (list u8)) (result $r)))))"#;

/// Reads a mebibyte of randomness again and again.
fn random_flood() -> Vec<u8> {
    module("", "(loop (drop (call $random (i32.const 0) (i32.const 1048576))) (br 0))")
}

/// Writes `length` bytes from `at` to stdout, `times` times.
fn writes(definitions: &str, at: u32, length: u32, times: u32) -> Vec<u8> {
    let body = format!(
        r#"(local $i i32)
        (i32.store (i32.const 0) (i32.const {at})) (i32.store (i32.const 4) (i32.const {length}))
        (loop (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const {times}))))"#
    );
    module(definitions, &body)
}

/// A component whose `realloc` never comes back, called by the host to lower the scope.
fn loops_in_a_host_call() -> Vec<u8> {
    let text = by_hand::component_text("x", 2, "unreachable");
    let looping = text.replacen("(global.get $next)", "(loop (br 0)) (global.get $next)", 1);
    assert_ne!(text, looping);
    wat(&looping)
}

fn answer(tag: u32, at: i64, length: u32) -> String {
    format!("(call $answer (i32.const {tag}) (i32.const {at}) (i32.const {length}))")
}

fn cases() -> Vec<Case> {
    let short = || json!({"wall_time_ms": 200});
    let small = || json!({"memory_bytes": 4 << 20});
    let none = || json!({});
    let narrow = || json!({"console_bytes": 2_000});
    let mut cases = Vec::new();
    let mut case = |name, module, limits, ends| cases.push(Case { name, module, limits, ends });

    // Time.
    case("endless loop", by_hand::loops(), short(), Fault("time_limit", "within 200 ms"));
    let start = wat(r#"(module (func $s (loop (br 0))) (start $s) (memory (export "memory") 1)
            (func (export "_start")))"#);
    case("endless loop in the start function", start, short(), Fault("time_limit", "200 ms"));
    case("loop inside a host call", loops_in_a_host_call(), short(), Fault("time_limit", "200 ms"));
    let asleep = by_hand::sleeps(3_600_000);
    case("sleep past the deadline", asleep, short(), Fault("time_limit", "asleep"));
    let reads = module(
        "",
        "(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 1024))
        (loop (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))) (br 0))",
    );
    case("stdin read for ever", reads, short(), Fault("time_limit", "200 ms"));
    case("random bytes flood", random_flood(), short(), Fault("time_limit", "200 ms"));
    let yields = module("", "(loop (drop (call $yield)) (br 0))");
    case("host call storm", yields, short(), Fault("time_limit", "200 ms"));
    let fills =
        module("", "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 1048576)) (br 0))");
    case("bulk memory storm", fills, short(), Fault("time_limit", "200 ms"));

    // The stack.
    let deep = by_hand::command("(call $start)");
    case("recursion", deep, none(), Fault("trap", "calls itself too deeply"));
    let table = "(table 1 funcref) (elem (i32.const 0) $start) (type $t (func))";
    let indirect = module(table, "(call_indirect (type $t) (i32.const 0))");
    case("recursion through a table", indirect, none(), Fault("trap", "calls itself too deeply"));

    // Memory and tables.
    let grows = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    case("memory growth", by_hand::command(grows), small(), Fault("memory_limit", "4194304 bytes"));
    let two = "(memory $more 1)";
    let both = "(loop (br_if 0 (i32.ne (memory.grow $more (i32.const 1)) (i32.const -1))))
        (if (i32.eq (memory.grow 0 (i32.const 1)) (i32.const -1)) (then unreachable))";
    case(
        "growth of a second memory",
        module(two, both),
        small(),
        Fault("memory_limit", "4194304 bytes"),
    );
    let table = "(table $t 0 funcref)";
    let grow = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 1000))
        (i32.const -1)))) unreachable";
    let elements = "table of more than 100000 elements";
    case("table growth", module(table, grow), none(), Fault("memory_limit", elements));
    let large = wat(r#"(module (memory (export "memory") 1000) (func (export "_start")))"#);
    case("large memory from the start", large, small(), Fault("memory_limit", "4194304 bytes"));
    let data = format!(r#"(data (i32.const 0) "{}")"#, "x".repeat(5 << 20));
    let data =
        wat(&format!(r#"(module (memory (export "memory") 100) {data} (func (export "_start")))"#));
    case("huge data segment", data, small(), Fault("memory_limit", "4194304 bytes"));
    let outside =
        wat(r#"(module (memory (export "memory") 1) (data (i32.const 65530) "0123456789")
            (func (export "_start")))"#);
    case("data segment outside of memory", outside, none(), Fault("trap", "out of bounds memory"));

    // Traps and ends.
    let start = wat(r#"(module (func $boom unreachable) (start $boom) (memory (export "memory") 1)
            (func (export "_start")))"#);
    case("trap in the start function", start, none(), Fault("trap", "`unreachable`"));
    let name = "x".repeat(100_000);
    let named = wat(&format!(
        r#"(module (func $f (@name "{name}") unreachable) (memory (export "memory") 1)
            (func (export "_start") (call $f)))"#
    ));
    case("function name of 100,000 letters", named, none(), Fault("trap", "xxxx"));
    let exits = by_hand::command("(call $exit (i32.const -1))");
    case("exit code out of range", exits, none(), Fault("trap", "invalid exit status"));

    // The console.
    let well_cut = || {
        Well("succeeds; the console is cut at its limit, with a mark", |run| {
            run["console_truncated"] == true && stored(run) < 2_200
        })
    };
    case("log flood", by_hand::floods(100_000), narrow(), well_cut());
    let empty = writes(r#"(data (i32.const 64) "\n")"#, 64, 1, 100_000);
    case("flood of empty lines", empty, narrow(), well_cut());
    case("one giant line", writes("", 4096, 1 << 19, 4), narrow(), well_cut());
    let log = "(local $i i32) (loop (call $log (i32.const 1) (i32.const 100) (i32.const 0))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if 0 (i32.lt_u (local.get $i) (i32.const 100000))))";
    let messages = by_hand::component("x", 2, &(log.to_owned() + &answer(0, 100, 0)));
    case("flood of empty messages", messages, narrow(), Fault("invalid_result", "not JSON"));
    let bytes = writes(r#"(data (i32.const 64) "\ff\fe\c3\28\f0\9f\n")"#, 64, 7, 1);
    case(
        "output that is not UTF-8",
        bytes,
        none(),
        Well("succeeds; what is no text is replaced", |run| {
            run["console"][0]["text"] == "\u{fffd}\u{fffd}\u{fffd}(\u{fffd}"
        }),
    );

    // Results and errors.
    let filled = |tag, letter, length| {
        let fill =
            format!("(memory.fill (i32.const 65536) (i32.const {letter}) (i32.const {length}))");
        by_hand::component("x", 64, &(fill + &answer(tag, 65_536, length)))
    };
    case(
        "huge result",
        filled(0, b'1', 3 << 20),
        json!({"result_bytes": 1 << 20}),
        Fault("result_limit", "3145728 bytes"),
    );
    let nested = filled(0, b'[', 1_000_000);
    case("result nested 1,000,000 deep", nested, none(), Fault("invalid_result", "not JSON"));
    case("huge error", filled(1, b'x', 3_000_000), none(), Fault("error", "[cut]"));
    let outside = by_hand::component("x", 2, &answer(0, -1, 1_000));
    case("result outside of memory", outside, none(), Fault("trap", "out of bounds"));
    let bytes = by_hand::component("\\ff\\fe", 2, &answer(1, 100, 2));
    case("error that is not UTF-8", bytes, none(), Fault("trap", "utf-8"));

    // Host calls with arguments that no honest program has.
    let vectors = module(
        "",
        "(call $exit (call $fd_write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 8)))",
    );
    case("4,294,967,295 buffers to write", vectors, none(), Fault("exit", "exit code 48"));
    let outside = module(
        "",
        "(call $exit (call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8)))",
    );
    case("buffers outside of memory", outside, none(), Fault("trap", "out of bounds"));
    let polls = module(
        "",
        "(call $exit (call $poll (i32.const 0) (i32.const 0) (i32.const 20000) (i32.const 8)))",
    );
    case("20,000 things to wait for", polls, none(), Fault("trap", "no free keys"));
    let opens = module(
        r#"(data (i32.const 64) "/etc/passwd")"#,
        "(local $fd i32)
        (loop (if (i32.eqz (call $path_open (local.get $fd) (i32.const 0) (i32.const 64)
                (i32.const 11) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
            (then unreachable))
            (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $fd) (i32.const 1000))))",
    );
    case(
        "files of the host",
        opens,
        none(),
        Well("no descriptor opens anything", |run| run["console"] == json!([])),
    );
    let socket =
        module("", "(call $exit (call $accept (i32.const 3) (i32.const 0) (i32.const 8)))");
    case("sockets of the host", socket, none(), Fault("exit", "exit code 8"));
    let lowered = r#"(core func $call (canon lower (func $f)))"#;
    let handles = forever(
        POLL,
        lowered,
        "(param i64) (result i32)",
        "(drop (call $call (i64.const 3600000000000)))",
    );
    case("handles without end", handles, none(), Fault("trap", "table"));
    let lowered = r#"(alias export $http "[constructor]fields" (func $f))
        (core func $call (canon lower (func $f)))"#;
    let fields = forever(HTTP, lowered, "(result i32)", "(drop (call $call))");
    case("header lists without end", fields, none(), Fault("trap", "table"));
    case("header fields without end", header_flood(1_000, 1_000), none(), Fault("trap", "limit"));
    case("header field of 40,000 bytes", header_flood(40_000, 1), none(), Fault("trap", "limit"));
    case(
        "1,000 bodies of requests that are never sent",
        idle_bodies(),
        json!({"memory_bytes": 4 << 20}),
        Well("succeeds; the host took no more than 32 MiB of them", |_| true),
    );
    cases
}

/// Makes 1,000 bodies and gives the host as much of each as it takes; ends badly if that is too
/// much.
fn idle_bodies() -> Vec<u8> {
    wat(r#"(component
        (import "wasi:io/error@0.2.3" (instance $error (export "error" (type (sub resource)))))
        (alias export $error "error" (type $io-error))
        (import "wasi:io/streams@0.2.3" (instance $streams
            (export "output-stream" (type $stream (sub resource)))
            (alias outer 1 $io-error (type $outer))
            (export "error" (type $e (eq $outer)))
            (type $v (variant (case "last-operation-failed" (own $e)) (case "closed")))
            (export "stream-error" (type $stream-error (eq $v)))
            (export "[method]output-stream.check-write" (func (param "self" (borrow $stream))
                (result (result u64 (error $stream-error)))))
            (export "[method]output-stream.write" (func (param "self" (borrow $stream))
                (param "contents" (list u8)) (result (result (error $stream-error)))))))
        (alias export $streams "output-stream" (type $output))
        (import "wasi:http/types@0.2.3" (instance $http
            (export "fields" (type $fields (sub resource)))
            (export "outgoing-request" (type $request (sub resource)))
            (export "outgoing-body" (type $body (sub resource)))
            (alias outer 1 $output (type $outer))
            (export "output-stream" (type $stream (eq $outer)))
            (export "[constructor]fields" (func (result (own $fields))))
            (export "[constructor]outgoing-request"
                (func (param "headers" (own $fields)) (result (own $request))))
            (export "[method]outgoing-request.body"
                (func (param "self" (borrow $request)) (result (result (own $body)))))
            (export "[method]outgoing-body.write"
                (func (param "self" (borrow $body)) (result (result (own $stream)))))))
        (alias export $http "[constructor]fields" (func $fields))
        (alias export $http "[constructor]outgoing-request" (func $request))
        (alias export $http "[method]outgoing-request.body" (func $body))
        (alias export $http "[method]outgoing-body.write" (func $stream))
        (alias export $streams "[method]output-stream.check-write" (func $room))
        (alias export $streams "[method]output-stream.write" (func $write))
        (core module $libc (memory (export "memory") 32)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536))
        (core instance $libc (instantiate $libc))
        (core func $fields (canon lower (func $fields)))
        (core func $request (canon lower (func $request)))
        (core func $body (canon lower (func $body) (memory (core memory $libc "memory"))))
        (core func $stream (canon lower (func $stream) (memory (core memory $libc "memory"))))
        (core func $room (canon lower (func $room) (memory (core memory $libc "memory"))))
        (core func $write (canon lower (func $write) (memory (core memory $libc "memory"))))
        (core module $main
            (import "host" "fields" (func $fields (result i32)))
            (import "host" "request" (func $request (param i32) (result i32)))
            (import "host" "body" (func $body (param i32 i32)))
            (import "host" "stream" (func $stream (param i32 i32)))
            (import "host" "room" (func $room (param i32 i32)))
            (import "host" "write" (func $write (param i32 i32 i32 i32)))
            (import "libc" "memory" (memory 32))
            (func (export "run") (result i32) (local $i i32) (local $taken i64) (local $room i64)
                (loop $bodies
                    (call $body (call $request (call $fields)) (i32.const 0))
                    (if (i32.load8_u (i32.const 0)) (then unreachable))
                    (call $stream (i32.load (i32.const 4)) (i32.const 0))
                    (if (i32.load8_u (i32.const 0)) (then unreachable))
                    (i32.store (i32.const 32) (i32.load (i32.const 4)))
                    (loop $full
                        (call $room (i32.load (i32.const 32)) (i32.const 0))
                        (if (i32.load8_u (i32.const 0)) (then unreachable))
                        (local.set $room (i64.load (i32.const 8)))
                        (if (i64.ne (local.get $room) (i64.const 0)) (then
                            (call $write (i32.load (i32.const 32)) (i32.const 0)
                                (i32.wrap_i64 (local.get $room)) (i32.const 16))
                            (local.set $taken (i64.add (local.get $taken) (local.get $room)))
                            (br $full))))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $bodies (i32.lt_u (local.get $i) (i32.const 1000))))
                (i64.gt_u (local.get $taken) (i64.const 33554432))))
        (core instance $main (instantiate $main
            (with "host" (instance (export "fields" (func $fields)) (export "request" (func $request))
                (export "body" (func $body)) (export "stream" (func $stream))
                (export "room" (func $room)) (export "write" (func $write))))
            (with "libc" (instance $libc))))
        (func $run (result (result)) (canon lift (core func $main "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $run)))"#)
}

/// One list of header fields that grows so often by a value of so many bytes.
fn header_flood(bytes: u32, times: u32) -> Vec<u8> {
    wat(&format!(
        r#"(component {HTTP}
            (alias export $http "[constructor]fields" (func $new))
            (alias export $http "[method]fields.append" (func $append))
            (core module $libc (memory (export "memory") 4))
            (core instance $libc (instantiate $libc))
            (core func $new (canon lower (func $new)))
            (core func $append (canon lower (func $append) (memory (core memory $libc "memory"))))
            (core module $main
                (import "host" "new" (func $new (result i32)))
                (import "host" "append" (func $append (param i32 i32 i32 i32 i32 i32)))
                (import "libc" "memory" (memory 4))
                (data (i32.const 64) "x-a")
                (func (export "run") (result i32) (local $fields i32) (local $i i32)
                    (local.set $fields (call $new))
                    (memory.fill (i32.const 1024) (i32.const 120) (i32.const {bytes}))
                    (loop (call $append (local.get $fields) (i32.const 64) (i32.const 3)
                            (i32.const 1024) (i32.const {bytes}) (i32.const 16))
                        (local.set $i (i32.add (local.get $i) (i32.const 1)))
                        (br_if 0 (i32.lt_u (local.get $i) (i32.const {times}))))
                    (i32.const 0)))
            (core instance $main (instantiate $main
                (with "host" (instance (export "new" (func $new)) (export "append" (func $append))))
                (with "libc" (instance $libc))))
            (func $run (result (result)) (canon lift (core func $main "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#
    ))
}

/// How much console text a run left, in bytes.
fn stored(run: &Value) -> usize {
    let lines = run["console"].as_array().expect("a console");
    lines.iter().map(|line| line["text"].as_str().expect("a text").len()).sum()
}

/// The cases for people: the name, and what is asserted.
pub fn table() -> impl Iterator<Item = (String, String)> {
    let row = |case: Case| {
        let ends = match case.ends {
            Fault(code, words) => format!("fault `{code}`: “{words}”"),
            Well(what, _) => what.to_owned(),
        };
        (case.name.to_owned(), ends)
    };
    cases().into_iter().map(row)
}

#[tokio::test]
async fn each_hostile_guest_ends_with_its_fault_and_harms_nobody() {
    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    for Case { name, module, limits, ends } in cases() {
        let id = scene.analysis(name, &limits).await;
        scene.api.upload(&id, &module).await.ok();
        let run = scene.run(&id, json!([])).await;
        let right = match ends {
            Fault(code, words) => {
                let message = run["fault"]["message"].as_str().unwrap_or_default();
                run["state"] == "failed"
                    && run["fault"]["code"] == code
                    && run["fault"]["blame"] == "analysis"
                    && message.contains(words)
                    && message.len() < 20_000
            }
            Well(_, holds) => run["state"] == "succeeded" && holds(&run),
        };
        if !right {
            wrong.push(format!("{name}: {:.1000}", run.to_string()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
