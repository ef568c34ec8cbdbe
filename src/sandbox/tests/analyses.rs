//! Analyses: components of the runner's own form.

use super::*;
use crate::run::console::{Level, Stream};

/// result: tag, option tag, address, length.
fn analysis(body: &str) -> String {
    format!(
        r#"(component
        (import "runner:analysis/console@1.0.0" (instance $console
            (type $l (enum "debug" "info" "warn" "error"))
            (export "level" (type $level (eq $l)))
            (export "log" (func (param "level" $level) (param "message" string)))))
        (alias export $console "log" (func $log))
        (core module $libc
            (memory (export "memory") 2)
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
            (data (i32.const 100) "{{\"key\":\"hunter22\"}}")
            (data (i32.const 200) "key is hunter22")
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

async fn run_analysis(body: &str) -> Outcome {
    run_with(&sandbox(), &analysis(body), &limits()).await
}

#[tokio::test]
async fn unknown_imports_of_a_component_are_named() {
    let component = analysis("unreachable").replace(
        "(component\n",
        r#"(component (import "wasi:http/incoming-handler@0.2.3" (instance (export "f" (func))))
           (import "acme:shop/types@1.0.0" (instance)) "#,
    );
    let refused = compile(&sandbox(), &component).await.err().unwrap();
    let CompileError::UnknownImports(unknown) = &refused else { panic!("{refused}") };
    assert_eq!(unknown.names(), ["wasi:http/incoming-handler@0.2.3"]);
}

#[tokio::test]
async fn an_entry_of_another_type_is_refused() {
    let wrong = r#"(component
        (core module $m (func (export "run")))
        (core instance $m (instantiate $m))
        (func $run (canon lift (core func $m "run")))
        (instance $entry (export "run" (func $run)))
        (export "runner:analysis/entry@1.0.0" (instance $entry)))"#;
    let refused = compile(&sandbox(), wrong).await.err().unwrap();
    assert!(matches!(refused, CompileError::Unfit(_)), "{refused}");
}

#[tokio::test]
async fn a_result_is_masked_and_stays_json() {
    let outcome = run_analysis("(call $answer (i32.const 0) (i32.const 100) (i32.const 18))").await;
    assert_eq!(outcome.ending, Ok(Some(r#"{"key":"[secret API_KEY]"}"#.into())));
}

#[tokio::test]
async fn an_analysis_reads_its_scope() {
    let outcome = run_analysis("(call $answer (i32.const 0) (local.get 8) (local.get 9))").await;
    assert_eq!(outcome.ending, Ok(Some(r#"[{"variable":"x"}]"#.into())));
}

#[tokio::test]
async fn an_error_and_a_log_message_are_masked() {
    let body = "(call $log (i32.const 2) (i32.const 200) (i32.const 15))
        (call $answer (i32.const 1) (i32.const 200) (i32.const 15))";
    let outcome = run_analysis(body).await;
    assert_eq!(fault(&outcome), (FaultCode::Error, "key is [secret API_KEY]"));
    let line = &outcome.console[0];
    assert_eq!((line.stream, line.level), (Stream::Console, Level::Warn));
    assert_eq!(line.text, "key is [secret API_KEY]");
}

#[tokio::test]
async fn a_result_that_is_not_json_is_a_fault() {
    let outcome = run_analysis("(call $answer (i32.const 0) (i32.const 100) (i32.const 17))").await;
    assert_eq!(fault(&outcome).0, FaultCode::InvalidResult);
    let outcome = run_analysis("(call $answer (i32.const 0) (i32.const 100) (i32.const 0))").await;
    assert_eq!(fault(&outcome).0, FaultCode::InvalidResult);
}

#[tokio::test]
async fn a_large_result_is_a_fault() {
    let limits = Limits { result_bytes: 17, ..limits() };
    let body = analysis("(call $answer (i32.const 0) (i32.const 100) (i32.const 18))");
    let outcome = run_with(&sandbox(), &body, &limits).await;
    assert_eq!(fault(&outcome).0, FaultCode::ResultLimit);
    assert!(fault(&outcome).1.contains("18 bytes"));
}

#[tokio::test]
async fn a_result_too_large_to_take_over_is_a_result_limit() {
    let limits = Limits { memory_bytes: 128 << 20, ..limits() };
    let body = "(call $answer (i32.const 0) (i32.const 0) (i32.const 70000000))";
    let component = analysis(body).replace(r#"(export "memory") 2)"#, r#"(export "memory") 1200)"#);
    let outcome = run_with(&sandbox(), &component, &limits).await;
    assert_eq!(fault(&outcome).0, FaultCode::ResultLimit, "{:?}", outcome.ending);
}

#[tokio::test]
async fn a_result_outside_of_memory_is_the_modules_fault() {
    let outcome =
        run_analysis("(call $answer (i32.const 0) (i32.const -1) (i32.const 1000))").await;
    assert_eq!(fault(&outcome).0, FaultCode::Trap);
}
