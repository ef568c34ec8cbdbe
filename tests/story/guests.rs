//! Guests written by hand that say what they are told to, in the open.
//!
//! What a guest shall say stands scrambled in its module: a search of the data directory for it
//! must not find the module.

use std::fmt::Write as _;

use super::harness::wat;

/// How the text in a module is scrambled.
const SCRAMBLE: u8 = 0x5a;

/// A command that prints each of its environment variables on a line of stdout, and then `text`
/// once for each of `chunks`, in pieces of that many bytes.
pub fn printer(text: &str, chunks: &[usize]) -> Vec<u8> {
    printer_to(1, text, chunks)
}

/// The same on another descriptor.
pub fn printer_to(descriptor: u32, text: &str, chunks: &[usize]) -> Vec<u8> {
    let speak: String = chunks.iter().fold(String::new(), |mut calls, chunk| {
        let _ = write!(calls, "(call $speak (i32.const {chunk}))");
        calls
    });
    let (data, length) = (scrambled(text), text.len());
    wat(&format!(
        r#"(module
        (import "wasi_snapshot_preview1" "environ_sizes_get"
            (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_get"
            (func $environ (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 64)
        (data (i32.const 0x100000) "{data}")
        {UNSCRAMBLE}
        (func $write (param $at i32) (param $length i32)
            (i32.store (i32.const 0) (local.get $at))
            (i32.store (i32.const 4) (local.get $length))
            (drop (call $fd_write (i32.const {descriptor}) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func $speak (param $chunk i32) (local $at i32) (local $left i32)
            (local.set $at (i32.const 0x100000))
            (local.set $left (i32.const {length}))
            (loop $next
                (if (i32.lt_u (local.get $left) (local.get $chunk))
                    (then (local.set $chunk (local.get $left))))
                (call $write (local.get $at) (local.get $chunk))
                (local.set $at (i32.add (local.get $at) (local.get $chunk)))
                (local.set $left (i32.sub (local.get $left) (local.get $chunk)))
                (br_if $next (local.get $left))))
        (func (export "_start") (local $at i32) (local $end i32)
            (drop (call $sizes (i32.const 16) (i32.const 20)))
            (drop (call $environ (i32.const 0x10000) (i32.const 0x200000)))
            (local.set $at (i32.const 0x200000))
            (local.set $end (i32.add (local.get $at) (i32.load (i32.const 20))))
            (loop $byte
                (if (i32.eqz (i32.load8_u (local.get $at)))
                    (then (i32.store8 (local.get $at) (i32.const 10))))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br_if $byte (i32.lt_u (local.get $at) (local.get $end))))
            (call $write (i32.const 0x200000) (i32.load (i32.const 20)))
            (call $unscramble (i32.const 0x100000) (i32.const {length}))
            {speak}))"#
    ))
}

/// A command that prints its environment and nothing else.
pub fn environment_printer() -> Vec<u8> {
    printer("\n", &[1])
}

/// What an analysis of [`analysis`] ends with.
pub enum Says<'a> {
    /// This result.
    Result(&'a str),
    /// This error.
    Error(&'a str),
}

/// An analysis that logs the value of each entry of its environment, then `text` cut into two
/// messages at `cut`, and ends so.
pub fn analysis(text: &str, cut: usize, says: Says<'_>) -> Vec<u8> {
    let (tag, answer) = match says {
        Says::Result(json) => (0, json),
        Says::Error(message) => (1, message),
    };
    let (log, log_length) = (scrambled(text), text.len());
    let (data, length) = (scrambled(answer), answer.len());
    wat(&format!(
        r#"(component
        (import "runner:analysis/console@1.0.0" (instance $console
            (type $l (enum "debug" "info" "warn" "error"))
            (export "level" (type $level (eq $l)))
            (export "log" (func (param "level" $level) (param "message" string)))))
        (alias export $console "log" (func $log))
        (core module $libc
            (memory (export "memory") 64)
            (global $next (mut i32) (i32.const 0x200000))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $next)
                (global.set $next (i32.add (global.get $next)
                    (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -16))))))
        (core instance $libc (instantiate $libc))
        (core func $log (canon lower (func $log) (memory (core memory $libc "memory"))))
        (core module $main
            (import "libc" "memory" (memory 1))
            (import "host" "log" (func $log (param i32 i32 i32)))
            (data (i32.const 0x10000) "{log}")
            (data (i32.const 0x100000) "{data}")
            {UNSCRAMBLE}
            (func (export "run") (param i32 i32 i32 i32 i32 i32) (param $at i32) (param $left i32)
                (param i32 i32) (result i32)
                (if (local.get $left) (then (loop $entry
                    (call $log (i32.const 1)
                        (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at)))
                    (local.set $at (i32.add (local.get $at) (i32.const 16)))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $entry (local.get $left)))))
                (call $unscramble (i32.const 0x10000) (i32.const {log_length}))
                (call $unscramble (i32.const 0x100000) (i32.const {length}))
                (call $log (i32.const 2) (i32.const 0x10000) (i32.const {cut}))
                (call $log (i32.const 2) (i32.add (i32.const 0x10000) (i32.const {cut}))
                    (i32.sub (i32.const {log_length}) (i32.const {cut})))
                (i32.store (i32.const 16) (i32.const {tag}))
                (if (i32.const {tag})
                    (then (i32.store (i32.const 20) (i32.const 0x100000))
                          (i32.store (i32.const 24) (i32.const {length})))
                    (else (i32.store (i32.const 20) (i32.const 1))
                          (i32.store (i32.const 24) (i32.const 0x100000))
                          (i32.store (i32.const 28) (i32.const {length}))))
                (i32.const 16)))
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
    ))
}

const UNSCRAMBLE: &str = r#"
    (func $unscramble (param $at i32) (param $left i32)
        (if (local.get $left) (then (loop $byte
            (i32.store8 (local.get $at)
                (i32.xor (i32.load8_u (local.get $at)) (i32.const 0x5a)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $byte (local.get $left))))))"#;

/// The text of a data segment that [`UNSCRAMBLE`] turns into `text`.
fn scrambled(text: &str) -> String {
    text.bytes().fold(String::new(), |mut data, byte| {
        let _ = write!(data, "\\{:02x}", byte ^ SCRAMBLE);
        data
    })
}
