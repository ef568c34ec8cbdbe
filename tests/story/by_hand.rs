//! Guests written by hand in WebAssembly's text form, each for one thing that a run can do.

use super::harness::wat;

/// What commands import, and `$write(descriptor, address, length)`. The first 128 bytes of memory
/// are for the functions here.
const WASI: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 8)
    (func $write (param $descriptor i32) (param $at i32) (param $length i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $length))
        (drop (call $fd_write (local.get $descriptor) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func $sleep (param $nanoseconds i64)
        (i64.store (i32.const 32) (i64.const 0))
        (i64.store (i32.const 40) (i64.const 0))
        (i64.store (i32.const 48) (i64.const 1))
        (i64.store (i32.const 56) (local.get $nanoseconds))
        (i64.store (i32.const 64) (i64.const 0))
        (i64.store (i32.const 72) (i64.const 0))
        (drop (call $poll (i32.const 32) (i32.const 80) (i32.const 1) (i32.const 120))))"#;

/// A command whose `_start` is `body`.
#[track_caller]
pub fn command(body: &str) -> Vec<u8> {
    wat(&format!(r#"(module {WASI} (func $start (export "_start") {body}))"#))
}

/// A command that ends well and does nothing. Different numbers make different modules.
#[track_caller]
pub fn quiet(number: u32) -> Vec<u8> {
    command(&format!("(drop (i32.const {number}))"))
}

/// A command that prints `text` and a line end.
#[track_caller]
pub fn says(text: &str) -> Vec<u8> {
    let data: String = text.bytes().chain(*b"\n").map(|byte| format!("\\{byte:02x}")).collect();
    let length = text.len() + 1;
    wat(&format!(
        r#"(module {WASI} (data (i32.const 1024) "{data}")
            (func (export "_start")
                (call $write (i32.const 1) (i32.const 1024) (i32.const {length}))))"#
    ))
}

/// A command that prints `text` and a line end, and then computes for ever.
#[track_caller]
pub fn says_and_loops(text: &str) -> Vec<u8> {
    let data: String = text.bytes().chain(*b"\n").map(|byte| format!("\\{byte:02x}")).collect();
    let length = text.len() + 1;
    wat(&format!(
        r#"(module {WASI} (data (i32.const 1024) "{data}")
            (func (export "_start")
                (call $write (i32.const 1) (i32.const 1024) (i32.const {length}))
                (loop (br 0))))"#
    ))
}

/// A command that sleeps.
#[track_caller]
pub fn sleeps(milliseconds: u64) -> Vec<u8> {
    command(&format!("(call $sleep (i64.const {}))", milliseconds * 1_000_000))
}

/// A command that sleeps for an hour in its first attempt, and ends at once in the others.
///
/// It must see no keys but the runner's own, of which `_attempt` is the second.
#[track_caller]
pub fn sleeps_in_its_first_attempt() -> Vec<u8> {
    command(
        r#"(drop (call $environ (i32.const 1024) (i32.const 8192)))
        (if (i32.eq (i32.load8_u (i32.add (i32.load (i32.const 1028)) (i32.const 9))) (i32.const 49))
            (then (call $sleep (i64.const 3600000000000))))"#,
    )
}

/// A command that computes for ever.
#[track_caller]
pub fn loops() -> Vec<u8> {
    command("(loop (br 0))")
}

/// A command that prints its environment on stdout, one `KEY=value` a line, and its standard
/// input on stderr.
#[track_caller]
pub fn prints_its_environment() -> Vec<u8> {
    command(
        r#"(local $at i32) (local $end i32)
        (drop (call $sizes (i32.const 16) (i32.const 20)))
        (drop (call $environ (i32.const 1024) (i32.const 16384)))
        (local.set $at (i32.const 16384))
        (local.set $end (i32.add (i32.const 16384) (i32.load (i32.const 20))))
        (loop $next
            (if (i32.eqz (i32.load8_u (local.get $at)))
                (then (i32.store8 (local.get $at) (i32.const 10))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
        (call $write (i32.const 1) (i32.const 16384) (i32.load (i32.const 20)))
        (i32.store (i32.const 0) (i32.const 262144))
        (i32.store (i32.const 4) (i32.const 60000))
        (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 24)))
        (call $write (i32.const 2) (i32.const 262144) (i32.load (i32.const 24)))"#,
    )
}

/// A command that prints `lines` lines of 8 bytes.
#[track_caller]
pub fn floods(lines: u32) -> Vec<u8> {
    command(&format!(
        r#"(local $i i32) (i64.store (i32.const 1024) (i64.const 0x0a78787878787878))
        (loop (call $write (i32.const 1) (i32.const 1024) (i32.const 8))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const {lines}))))"#
    ))
}

/// A component of the runner's own form. `body` has the scope's address and length in locals 8
/// and 9, and leaves what `$answer(tag, address, length)` gives: tag 0 is a result, 1 an error.
/// `text` lies at address 100 of its memory of `pages` pages; `$log(level, address, length)`
/// writes to the console.
#[track_caller]
pub fn component(text: &str, pages: u32, body: &str) -> Vec<u8> {
    wat(&component_text(text, pages, body))
}

/// The text form of [`component`].
pub fn component_text(text: &str, pages: u32, body: &str) -> String {
    format!(
        r#"(component
        (import "runner:analysis/console@1.0.0" (instance $console
            (type $l (enum "debug" "info" "warn" "error"))
            (export "level" (type $level (eq $l)))
            (export "log" (func (param "level" $level) (param "message" string)))))
        (alias export $console "log" (func $log))
        (core module $libc
            (memory (export "memory") {pages})
            (global $next (mut i32) (i32.const 65536))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $next)
                (global.set $next (i32.add (global.get $next)
                    (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -16))))))
        (core instance $libc (instantiate $libc))
        (core func $log (canon lower (func $log) (memory (core memory $libc "memory"))))
        (core module $main
            (import "libc" "memory" (memory 1))
            (import "host" "log" (func $log (param i32 i32 i32)))
            (func $answer (param $tag i32) (param $at i32) (param $length i32) (result i32)
                (i32.store (i32.const 16) (local.get $tag))
                (if (local.get $tag)
                    (then (i32.store (i32.const 20) (local.get $at))
                          (i32.store (i32.const 24) (local.get $length)))
                    (else (i32.store (i32.const 20) (i32.const 1))
                          (i32.store (i32.const 24) (local.get $at))
                          (i32.store (i32.const 28) (local.get $length))))
                (i32.const 16))
            (data (i32.const 100) "{text}")
            (func (export "run") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
                {body}))
        (core instance $main (instantiate $main
            (with "libc" (instance $libc))
            (with "host" (instance (export "log" (func $log))))))
        (type $v (record (field "key" string) (field "value" string)))
        (type $c (record (field "analysis-id" string) (field "run-id" string)
            (field "token" string) (field "environment" (list $v))))
        (type $a (result (option string) (error string)))
        (func $run (param "context" $c) (param "scope" string) (result $a)
            (canon lift (core func $main "run") (memory (core memory $libc "memory"))
                (realloc (core func $libc "realloc"))))
        ;; An interface names its records, so they and the function go through a component.
        (component $entry
            (type $v (record (field "key" string) (field "value" string)))
            (import "variable" (type $variable (eq $v)))
            (type $c (record (field "analysis-id" string) (field "run-id" string)
                (field "token" string) (field "environment" (list $variable))))
            (import "context" (type $context (eq $c)))
            (type $a (result (option string) (error string)))
            (import "run" (func $run
                (param "context" $context) (param "scope" string) (result $a)))
            (type $v2 (record (field "key" string) (field "value" string)))
            (export $variable2 "variable" (type $v2))
            (type $c2 (record (field "analysis-id" string) (field "run-id" string)
                (field "token" string) (field "environment" (list $variable2))))
            (export $context2 "context" (type $c2))
            (export "run" (func $run) (func
                (param "context" $context2) (param "scope" string) (result $a))))
        (instance $entry (instantiate $entry
            (with "variable" (type $v)) (with "context" (type $c)) (with "run" (func $run))))
        (export "runner:analysis/entry@1.0.0" (instance $entry)))"#
    )
}

/// A component that logs `a word` and gives its scope back as its result.
#[track_caller]
pub fn echo() -> Vec<u8> {
    let body = "(call $log (i32.const 1) (i32.const 100) (i32.const 6))
        (call $answer (i32.const 0) (local.get 8) (local.get 9))";
    component("a word", 2, body)
}
