//! Commands: core modules with `_start`, and components with `wasi:cli/run`.

use std::time::Instant;

use super::*;
use crate::run::console::{Level, Stream};

const WASI_IMPORTS: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;

/// Writes `length` bytes from `address` to the descriptor.
const WRITE: &str = r#"
    (func $write (param $fd i32) (param $at i32) (param $length i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $length))
        (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))"#;

/// A command whose `_start` is `body`, which may begin with locals.
pub(super) fn command(body: &str) -> String {
    format!(
        r#"(module {WASI_IMPORTS} (memory (export "memory") 1) {WRITE}
            (func $start (export "_start") {body}))"#
    )
}

async fn run_command(body: &str) -> Outcome {
    run_with(&sandbox(), &command(body), &limits()).await
}

#[tokio::test]
async fn a_command_that_ends_well_succeeds() {
    let outcome = run_command("").await;
    assert_eq!(outcome.ending, Ok(None));
    assert_eq!(outcome.peak_memory_bytes, 64 << 10);
    assert!(outcome.console.is_empty() && !outcome.console_truncated);
    assert_eq!(run_command("(call $exit (i32.const 0))").await.ending, Ok(None));
}

#[tokio::test]
async fn another_exit_code_is_a_fault() {
    let outcome = run_command("(call $exit (i32.const 3))").await;
    assert_eq!(fault(&outcome), (FaultCode::Exit, "the command ended with exit code 3"));
}

#[tokio::test]
async fn a_loop_ends_at_the_time_limit() {
    let limits = Limits { wall_time_ms: 100, ..limits() };
    let outcome = run_with(&sandbox(), &command("(loop (br 0))"), &limits).await;
    let (code, message) = fault(&outcome);
    assert_eq!(code, FaultCode::TimeLimit);
    assert!(message.contains("within 100 ms"), "{message}");
    assert!(outcome.duration < Duration::from_secs(2), "{:?}", outcome.duration);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn loops_on_every_thread_do_not_outlive_their_time() {
    let sandbox = Arc::new(sandbox());
    let program = compile(&sandbox, &command("(loop (br 0))")).await.unwrap();
    let started = Instant::now();
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let (sandbox, program) = (sandbox.clone(), program.clone());
            let limits = Limits { wall_time_ms: 100, ..limits() };
            tokio::spawn(async move { sandbox.run(&program, input(), &limits).await })
        })
        .collect();
    for run in runs {
        assert_eq!(fault(&run.await.unwrap()).0, FaultCode::TimeLimit);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_sleeper_ends_at_the_time_limit() {
    // One clock subscription, relative, an hour long.
    let sleep = "(i32.store (i32.const 112) (i32.const 1))
        (i64.store (i32.const 120) (i64.const 3600000000000))
        (drop (call $poll (i32.const 96) (i32.const 200) (i32.const 1) (i32.const 300)))";
    let limits = Limits { wall_time_ms: 100, ..limits() };
    let outcome = run_with(&sandbox(), &command(sleep), &limits).await;
    assert_eq!(fault(&outcome).0, FaultCode::TimeLimit);
    assert!(outcome.duration < Duration::from_secs(2), "{:?}", outcome.duration);
}

#[tokio::test]
async fn a_memory_hog_ends_at_the_memory_limit() {
    let hog = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    let outcome = run_command(hog).await;
    let (code, message) = fault(&outcome);
    assert_eq!(code, FaultCode::MemoryLimit);
    assert!(message.contains("4194304 bytes") && message.contains("unreachable"), "{message}");
    assert_eq!(outcome.peak_memory_bytes, 4 << 20);
}

#[tokio::test]
async fn a_guest_may_live_with_less_memory() {
    let modest = "(drop (memory.grow (i32.const 60000)))";
    assert_eq!(run_command(modest).await.ending, Ok(None));
}

#[tokio::test]
async fn a_module_that_begins_with_too_much_memory_is_a_memory_limit() {
    let large = r#"(module (memory (export "memory") 1000) (func (export "_start")))"#;
    let outcome = run_with(&sandbox(), large, &limits()).await;
    assert_eq!(fault(&outcome).0, FaultCode::MemoryLimit);
    let huge = r#"(module (memory (export "memory") 60000) (func (export "_start")))"#;
    let refused = compile(&sandbox(), huge).await.err().unwrap();
    assert!(matches!(refused, CompileError::Unfit(_)), "{refused}");
    assert!(refused.is_of_module());
}

#[tokio::test]
async fn the_hosts_budget_is_named_when_it_is_what_lacks() {
    let settings = Settings { memory_budget_bytes: 1 << 20, ..settings() };
    let sandbox = Sandbox::new(settings, None).unwrap();
    let grow =
        command("(if (i32.eq (memory.grow (i32.const 30)) (i32.const -1)) (then unreachable))");
    let outcome = run_with(&sandbox, &grow, &limits()).await;
    let (code, message) = fault(&outcome);
    assert_eq!(code, FaultCode::MemoryLimit);
    assert!(message.contains("host"), "{message}");
    assert_eq!(sandbox.budget.held(), 0);
}

#[tokio::test]
async fn a_trap_names_its_cause_and_its_place() {
    let outcome = run_command("unreachable").await;
    let expected = "the module trapped: wasm `unreachable` instruction executed, in `start`";
    assert_eq!(fault(&outcome), (FaultCode::Trap, expected));
    let outcome = run_command("(drop (i32.load (i32.const -1)))").await;
    assert!(fault(&outcome).1.contains("out of bounds memory access"));
}

#[tokio::test]
async fn an_infinite_recursion_is_a_trap() {
    let outcome = run_command("(call $start)").await;
    let (code, message) = fault(&outcome);
    assert_eq!(code, FaultCode::Trap);
    assert!(message.contains("calls itself too deeply"), "{message}");
}

#[tokio::test]
async fn a_log_flood_is_cut() {
    let flood = "(local $i i32)
        (i64.store (i32.const 100) (i64.const 0x0a78787878787878))
        (loop (call $write (i32.const 1) (i32.const 100) (i32.const 8))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 5000))))";
    let limits = Limits { console_bytes: 1000, ..limits() };
    let outcome = run_with(&sandbox(), &command(flood), &limits).await;
    assert_eq!(outcome.ending, Ok(None));
    assert!(outcome.console_truncated);
    assert_eq!(outcome.console.len(), 1000 / 16 + 2);
    assert_eq!(texts(&outcome).last(), Some(&"[console cut: limit of 1000 bytes reached]"));
}

#[tokio::test]
async fn split_characters_and_secrets_are_put_together() {
    // "ü\nhunter22\n" to stderr, one byte per call.
    let text = r#"(memory (export "memory") 1) (data (i32.const 100) "ü\nhunter22\n")"#;
    let print = "(local $i i32)
        (loop (call $write (i32.const 2) (i32.add (i32.const 100) (local.get $i)) (i32.const 1))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 12))))";
    let module = command(print).replace(r#"(memory (export "memory") 1)"#, text);
    let outcome = run_with(&sandbox(), &module, &limits()).await;
    assert_eq!(texts(&outcome), ["ü", "[secret API_KEY]"]);
    assert!(outcome.console.iter().all(|l| (l.stream, l.level) == (Stream::Stderr, Level::Error)));
}

#[tokio::test]
async fn a_command_finds_its_input_and_nothing_else() {
    // Prints its environment, then its standard input, then what fd_prestat_get says about 3.
    let body = r#"(drop (call $sizes (i32.const 16) (i32.const 20)))
        (drop (call $environ (i32.const 1024) (i32.const 4096)))
        (call $write (i32.const 1) (i32.const 4096) (i32.load (i32.const 20)))
        (i32.store8 (i32.const 90) (i32.const 10))
        (call $write (i32.const 1) (i32.const 90) (i32.const 1))
        (i32.store (i32.const 0) (i32.const 8192))
        (i32.store (i32.const 4) (i32.const 1000))
        (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 24)))
        (call $write (i32.const 2) (i32.const 8192) (i32.load (i32.const 24)))
        (call $exit (call $prestat (i32.const 3) (i32.const 64)))"#;
    let outcome = run_command(body).await;
    let entries: Vec<_> = texts(&outcome)[0].trim_end_matches('\0').split('\0').collect();
    let analysis = format!("T_ANALYSIS_ID={}", Id::generate(Timestamp::from_millis(1)));
    assert_eq!(entries.len(), 8, "{entries:?}");
    assert_eq!(entries[0], "API_KEY=[secret API_KEY]");
    assert_eq!(entries[1], "PLAIN=visible");
    assert_eq!(entries[2], "T_ANALYSIS_CONTEXT=tago-io");
    assert_eq!(
        entries[3],
        r#"T_ANALYSIS_ENV=[{"key":"API_KEY","value":"[secret API_KEY]"},{"key":"PLAIN","value":"visible"}]"#
    );
    assert_eq!(entries[4], r#"T_ANALYSIS_DATA=[{"variable":"x"}]"#);
    assert_eq!(entries[5], "T_ANALYSIS_TOKEN=[run token]");
    assert_eq!(entries[6][..22], analysis[..22]);
    assert_eq!(entries[7], format!("TAGOIO_API={API_ADDRESS}"));
    assert_eq!(texts(&outcome)[1], r#"[{"variable":"x"}]"#);
    const BAD_DESCRIPTOR: &str = "the command ended with exit code 8";
    assert_eq!(fault(&outcome), (FaultCode::Exit, BAD_DESCRIPTOR));
}

#[tokio::test]
async fn unknown_imports_are_named() {
    let module = r#"(module (import "env" "a" (func)) (import "env" "b" (func))
        (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
        (func (export "_start")))"#;
    let refused = compile(&sandbox(), module).await.err().unwrap();
    let CompileError::UnknownImports(unknown) = &refused else { panic!("{refused}") };
    assert_eq!(unknown.names(), ["env::a", "env::b"]);
    let mistyped = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func))
        (func (export "_start")))"#;
    let refused = compile(&sandbox(), mistyped).await.err().unwrap();
    assert!(
        matches!(refused, CompileError::Unfit(_)) && refused.to_string().contains("sched_yield")
    );
}

#[tokio::test]
async fn a_command_component_says_how_it_ended() {
    let component = |result: i32| {
        format!(
            r#"(component
            (core module $m (func (export "run") (result i32) i32.const {result}))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#
        )
    };
    let outcome = run_with(&sandbox(), &component(0), &limits()).await;
    assert_eq!(outcome.ending, Ok(None));
    let outcome = run_with(&sandbox(), &component(1), &limits()).await;
    assert_eq!(fault(&outcome), (FaultCode::Exit, "the command ended with exit code 1"));
}
