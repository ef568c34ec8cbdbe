//! Guests written by hand, each for one way to end.

mod analyses;
mod canary;
mod commands;

use std::time::Duration;

use super::*;
use crate::clock::Timestamp;
use crate::environment::{Origin, Overlay};
use crate::fault::FaultCode;
use commands::command;

fn settings() -> Settings {
    Settings { guests: 4, compiler: Compiler::Here, ..Settings::default() }
}

fn sandbox() -> Sandbox {
    Sandbox::new(settings(), None).unwrap()
}

fn limits() -> Limits {
    Limits { wall_time_ms: 10_000, memory_bytes: 4 << 20, ..Limits::default() }
}

fn input() -> Input {
    let id = Id::from_bytes([1; 12]);
    let origin = Origin::Secret { secret: id, version: 1, policy: id, permission: 0 };
    let mut overlay = Overlay::with_capacity(0, 0);
    overlay.add("API_KEY", "hunter22", origin);
    overlay.add("PLAIN", "visible", Origin::Variable);
    Input {
        analysis: Id::generate(Timestamp::from_millis(1)),
        run: Id::generate(Timestamp::from_millis(2)),
        token: Arc::new(Zeroizing::new("a-token".into())),
        environment: Arc::new(overlay.settle().unwrap()),
        scope: r#"[{"variable":"x"}]"#.into(),
        live: None,
        notice: None,
        printer: Printer::default(),
        fetch: None,
        sign: None,
        stop: None,
    }
}

async fn compile(sandbox: &Sandbox, text: &str) -> Result<Program, CompileError> {
    let module = wat::parse_str(text).unwrap();
    let form = crate::analysis::module::inspect(&module).unwrap();
    sandbox.compile(&Digest::of(&module), form, module, Keep::OnDisk).await
}

async fn run_with(sandbox: &Sandbox, text: &str, limits: &Limits) -> Outcome {
    let program = compile(sandbox, text).await.unwrap();
    sandbox.run(&program, input(), limits).await
}

fn fault(outcome: &Outcome) -> (FaultCode, &str) {
    let fault = outcome.ending.as_ref().unwrap_err();
    (fault.code, &fault.message)
}

fn texts(outcome: &Outcome) -> Vec<&str> {
    outcome.console.iter().map(|line| line.text.as_str()).collect()
}

/// An analysis: `run` is `body`, with the scope in locals 8 and 9, and leaves the address of a

#[tokio::test]
async fn each_run_gets_a_fresh_instance() {
    let count = "(i32.store (i32.const 100) (i32.add (i32.load (i32.const 100)) (i32.const 1)))
        (call $exit (i32.load (i32.const 100)))";
    let sandbox = sandbox();
    for _ in 0..10 {
        let outcome = run_with(&sandbox, &command(count), &limits()).await;
        assert!(fault(&outcome).1.ends_with("exit code 1"));
    }
}

#[tokio::test]
async fn dropping_the_future_stops_the_guest_and_frees_its_slot() {
    let sandbox = Sandbox::new(Settings { guests: 1, ..settings() }, None).unwrap();
    let program = compile(&sandbox, &command("(loop (br 0))")).await.unwrap();
    for _ in 0..3 {
        let (input, limits) = (input(), limits());
        let run = sandbox.run(&program, input, &limits);
        assert!(tokio::time::timeout(Duration::from_millis(30), run).await.is_err());
    }
    assert_eq!(sandbox.budget.held(), 0);
    assert_eq!(run_with(&sandbox, &command(""), &limits()).await.ending, Ok(None));
}

#[tokio::test]
async fn artefacts_on_disk_are_loaded_and_changed_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let artefacts = Some(folder.path().join("artefacts"));
        let settings = Settings { artefacts, ..settings() };
        Sandbox::new(settings, Some(Zeroizing::new([7; 32]))).unwrap()
    };
    let program = compile(&open(), &command("")).await.unwrap();
    let digest = program.digest();
    let loaded = open();
    assert!(loaded.cached(&digest).is_none());
    let program = loaded.load(&digest, Form::Command).await.unwrap().unwrap();
    assert!(loaded.cached(&digest).is_some());
    assert_eq!(loaded.run(&program, input(), &limits()).await.ending, Ok(None));
    let mut files = std::fs::read_dir(folder.path().join("artefacts")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(open().load(&digest, Form::Command).await.unwrap().is_none());
    assert!(!file.exists());
    compile(&open(), &command("")).await.unwrap();
    assert!(open().load(&digest, Form::Command).await.unwrap().is_some());
}

#[tokio::test]
async fn a_refused_module_is_not_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let (script, count) = (folder.path().join("compiler"), folder.path().join("count"));
    let text = format!(
        "#!/bin/sh\necho once >> {}\ncat > /dev/null\necho no good >&2\nexit 1\n",
        count.display()
    );
    std::fs::write(&script, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&script, mode).unwrap();
    let open = |compile: CompileBounds| {
        let artefacts = Some(folder.path().join("artefacts"));
        let compiler = Compiler::Child(script.clone());
        let settings = Settings { artefacts, compiler, compile, ..settings() };
        Sandbox::new(settings, Some(Zeroizing::new([7; 32]))).unwrap()
    };
    let refuse = async |sandbox: &Sandbox, body: &str| {
        let refused = compile(sandbox, &command(body)).await.err().unwrap();
        assert_eq!(refused.to_string(), "the module does not compile: no good");
        std::fs::read_to_string(&count).unwrap().lines().count()
    };
    let bounds = CompileBounds::default();
    let sandbox = open(bounds);
    assert_eq!(refuse(&sandbox, "").await, 1);
    assert_eq!(refuse(&sandbox, "").await, 1);
    assert_eq!(refuse(&sandbox, "nop").await, 2, "another module");
    drop(sandbox);
    let again = open(bounds);
    assert_eq!(refuse(&again, "").await, 2, "a new process remembers");
    again.forget(&Digest::of(&wat::parse_str(command("")).unwrap())).unwrap();
    assert_eq!(refuse(&again, "").await, 3);
    let more = CompileBounds { memory_bytes: bounds.memory_bytes + 1, ..bounds };
    assert_eq!(refuse(&open(more), "").await, 4, "other bounds");
}

#[tokio::test]
async fn what_does_not_link_is_not_compiled_again_either() {
    let sandbox = sandbox();
    let module = r#"(module (import "env" "a" (func)) (func (export "_start")))"#;
    for _ in 0..2 {
        let refused = compile(&sandbox, module).await.err().unwrap();
        assert!(matches!(refused, CompileError::UnknownImports(_)), "{refused}");
    }
    assert!(sandbox.refused_before(&Digest::of(&wat::parse_str(module).unwrap())).is_err());
}

#[tokio::test]
async fn programs_used_least_make_room() {
    let sandbox = Sandbox::new(Settings { program_cache_bytes: 1, ..settings() }, None).unwrap();
    let first = compile(&sandbox, &command("")).await.unwrap();
    let second = compile(&sandbox, &command("nop")).await.unwrap();
    assert!(sandbox.cached(&first.digest()).is_none());
    assert!(sandbox.cached(&second.digest()).is_some());
    assert_eq!(sandbox.run(&first, input(), &limits()).await.ending, Ok(None), "still usable");
}

#[test]
fn a_folder_of_artefacts_needs_a_key() {
    let settings = Settings { artefacts: Some("/nonexistent".into()), ..settings() };
    assert!(matches!(Sandbox::new(settings, None), Err(Error::NoArtefactKey)));
}
