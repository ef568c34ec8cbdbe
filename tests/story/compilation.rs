//! Compilation in the real child process, within its bounds.

use std::time::Duration;

use runner::analysis::{Digest, Form};
use runner::sandbox::{CompileBounds, CompileError, Compiler, Keep, Sandbox, Settings};

use crate::harness::{RUNNER, wat};

fn sandbox(compile: CompileBounds) -> Sandbox {
    let compiler = Compiler::Child(RUNNER.into());
    Sandbox::new(Settings { guests: 2, compile, compiler, ..Settings::default() }, None).unwrap()
}

async fn compile(bounds: CompileBounds, module: Vec<u8>) -> Result<(), CompileError> {
    let digest = Digest::of(&module);
    sandbox(bounds).compile(&digest, Form::Command, module, Keep::InMemory).await.map(drop)
}

fn small() -> Vec<u8> {
    wat(r#"(module (memory (export "memory") 1) (func (export "_start")))"#)
}

/// Valid, and slow to compile: one function with a great many nested loops and locals.
fn bomb() -> Vec<u8> {
    let mut body = String::new();
    for i in 0..60_000 {
        let (a, b, c) = (i % 1000, (i * 7 + 1) % 1000, (i * 13 + 5) % 1000);
        body += &format!(
            "(if (i32.lt_u (local.get {a}) (local.get {b})) \
             (then (local.set {c} (i32.add (i32.mul (local.get {a}) (local.get {b})) (local.get {c})))))\n"
        );
    }
    let locals = "i32 ".repeat(1000);
    wat(&format!(r#"(module (func (export "_start") (local {locals}) {body}))"#))
}

#[tokio::test]
async fn a_module_compiles_in_the_child() {
    compile(CompileBounds::default(), small()).await.unwrap();
}

#[tokio::test]
async fn a_module_that_is_not_valid_is_refused_with_the_reason() {
    let mut module = small();
    module.truncate(module.len() - 2);
    let refused = compile(CompileBounds::default(), module).await.unwrap_err();
    assert!(
        matches!(&refused, CompileError::Invalid(why) if why.contains("unexpected end")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_bomb_is_stopped_at_each_bound() {
    let bomb = bomb();
    let bounds = CompileBounds::default();
    let cpu = CompileBounds { cpu: Duration::from_secs(1), ..bounds };
    let refused = compile(cpu, bomb.clone()).await.unwrap_err();
    assert!(matches!(refused, CompileError::TooSlow(bound) if bound == cpu.cpu), "{refused}");
    let wall = CompileBounds { wall: Duration::from_millis(300), ..bounds };
    let refused = compile(wall, bomb.clone()).await.unwrap_err();
    assert!(matches!(refused, CompileError::TooSlow(bound) if bound == wall.wall), "{refused}");
    let memory = CompileBounds { memory_bytes: 192 << 20, ..bounds };
    let refused = compile(memory, bomb).await.unwrap_err();
    assert!(refused.is_of_module(), "{refused}");
}
