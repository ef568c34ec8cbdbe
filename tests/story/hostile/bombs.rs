//! Modules that mean harm to who reads or compiles them: each is refused within the bounds, with
//! its words, and once.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::json;
use wasm_encoder::{
    BlockType, CodeSection, Component, Encode as _, ExportKind, ExportSection, Function,
    FunctionSection, Instruction, MemorySection, MemoryType, Module, TableSection, TableType,
    TypeSection, ValType,
};

use super::scene::Scene;
use crate::harness::wat;

/// One module.
struct Case {
    name: &'static str,
    module: Vec<u8>,
    /// What the refusal says.
    words: &'static str,
}

/// A module with a memory and a `_start` of these locals and instructions.
fn function(locals: u32, write: impl FnOnce(&mut Function)) -> Vec<u8> {
    let mut start = Function::new([(locals, ValType::I32)]);
    write(&mut start);
    start.instruction(&Instruction::End);
    with_start(Module::new(), &start)
}

/// Adds types, memory and a `_start` to a module.
fn with_start(mut module: Module, start: &Function) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut memories = MemorySection::new();
    memories.memory(memory());
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0).export("_start", ExportKind::Func, 0);
    let mut code = CodeSection::new();
    code.function(start);
    module.section(&types).section(&functions).section(&memories).section(&exports);
    module.section(&code).clone().finish()
}

fn memory() -> MemoryType {
    MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

/// Valid, small, and slow to compile: comparisons that all depend on each other.
fn slow_function() -> Vec<u8> {
    function(1_000, |start| {
        for i in 0..60_000_u32 {
            let (a, b, c) = (i % 1000, (i * 7 + 1) % 1000, (i * 13 + 5) % 1000);
            start.instruction(&Instruction::LocalGet(a)).instruction(&Instruction::LocalGet(b));
            start.instruction(&Instruction::I32LtU);
            start.instruction(&Instruction::If(BlockType::Empty));
            for get in [a, b] {
                start.instruction(&Instruction::LocalGet(get));
            }
            start.instruction(&Instruction::I32Mul).instruction(&Instruction::LocalGet(c));
            start.instruction(&Instruction::I32Add).instruction(&Instruction::LocalSet(c));
            start.instruction(&Instruction::End);
        }
    })
}

/// One function that is longer than any may be.
fn huge_function() -> Vec<u8> {
    function(1, |start| {
        for _ in 0..4_000_000 {
            start.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::Drop);
        }
    })
}

fn many_locals() -> Vec<u8> {
    function(4_000_000_000, |_| {})
}

/// Blocks in blocks, each with a loop around.
fn deep_nesting() -> Vec<u8> {
    const DEPTH: usize = 200_000;
    function(1_000, |start| {
        for _ in 0..DEPTH {
            start.instruction(&Instruction::Loop(BlockType::Empty));
            start.instruction(&Instruction::LocalGet(0));
            start.instruction(&Instruction::BrIf(0));
        }
        for _ in 0..DEPTH {
            start.instruction(&Instruction::End);
        }
    })
}

fn branch_table(targets: usize) -> Vec<u8> {
    function(1, |start| {
        let labels: Cow<'_, [u32]> = vec![0; targets].into();
        start.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::BrTable(labels, 0));
    })
}

/// Branch tables of the largest size that is allowed, each among many blocks.
fn branch_tables() -> Vec<u8> {
    const BLOCKS: u32 = 1_000;
    function(1_000, |start| {
        for table in 0..50 {
            for _ in 0..BLOCKS {
                start.instruction(&Instruction::Block(BlockType::Empty));
            }
            let labels: Vec<u32> = (0..65_000).map(|label| label % BLOCKS).collect();
            start.instruction(&Instruction::LocalGet(table));
            start.instruction(&Instruction::BrTable(labels.into(), 0));
            for local in 0..BLOCKS {
                start.instruction(&Instruction::End);
                start.instruction(&Instruction::LocalGet(local % 1_000));
                start.instruction(&Instruction::LocalSet((local * 7 + table) % 1_000));
            }
        }
    })
}

/// Components in components. Each is written from its end to its beginning.
fn deep_components(depth: usize) -> Vec<u8> {
    const COMPONENT_SECTION: u8 = 4;
    let header: Vec<u8> = Component::HEADER.iter().rev().copied().collect();
    let mut reversed = header.clone();
    for _ in 0..depth {
        let mut section = vec![COMPONENT_SECTION];
        reversed.len().encode(&mut section);
        reversed.extend(section.iter().rev());
        reversed.extend(&header);
    }
    reversed.reverse();
    reversed
}

fn many_memories() -> Vec<u8> {
    let mut memories = MemorySection::new();
    for _ in 0..100 {
        memories.memory(memory());
    }
    with_extra(&memories)
}

fn many_tables() -> Vec<u8> {
    let mut tables = TableSection::new();
    for _ in 0..100 {
        let (element_type, table64, minimum) = (wasm_encoder::RefType::FUNCREF, false, 1);
        tables.table(TableType { element_type, table64, minimum, maximum: None, shared: false });
    }
    with_extra(&tables)
}

/// A module whose only other section is this one.
fn with_extra(section: &impl wasm_encoder::Section) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut exports = ExportSection::new();
    exports.export("_start", ExportKind::Func, 0);
    let mut start = Function::new([]);
    start.instruction(&Instruction::End);
    let mut code = CodeSection::new();
    code.function(&start);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(section).section(&exports).section(&code);
    module.finish()
}

/// More functions than a module may have.
fn many_functions() -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    let mut empty = Function::new([]);
    empty.instruction(&Instruction::End);
    for _ in 0..1_000_001 {
        functions.function(0);
        code.function(&empty);
    }
    let mut exports = ExportSection::new();
    exports.export("_start", ExportKind::Func, 0);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&exports).section(&code);
    module.finish()
}

/// A component command with this many core instances of one module.
fn many_instances(count: usize) -> Vec<u8> {
    let more = "(core instance (instantiate $m))".repeat(count);
    wat(&format!(
        r#"(component
            (core module $m (memory 1) (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $m)) {more}
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#
    ))
}

fn cases() -> Vec<Case> {
    let case = |name, module, words| Case { name, module, words };
    let start = r#"(module (memory (export "memory") 1) (func (export "_start") (param i32)))"#;
    let no_function = r#"(module (memory (export "_start") 1))"#;
    let entry = r#"(component
        (core module $m (func (export "run")))
        (core instance $m (instantiate $m))
        (func $run (canon lift (core func $m "run")))
        (instance $entry (export "run" (func $run)))
        (export "runner:analysis/entry@1.0.0" (instance $entry)))"#;
    let run = r#"(component
        (core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $m (instantiate $m))
        (func $run (result u32) (canon lift (core func $m "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $run)))"#;
    let shared = r#"(module (memory (export "memory") 1 2 shared) (func (export "_start")))"#;
    let claims = r#"(module (memory (export "memory") 65536) (func (export "_start")))"#;
    vec![
        case("slow function", slow_function(), "does not compile within"),
        case("huge function", huge_function(), "size"),
        case("4,000,000,000 locals", many_locals(), "locals"),
        case("blocks nested 200,000 deep", deep_nesting(), "does not compile within"),
        case("branch table of 100,000 targets", branch_table(100_000), "br_table"),
        case("large branch tables", branch_tables(), "does not compile within"),
        case("1,000,001 functions", many_functions(), "functions"),
        case("components nested 100,000 deep", deep_components(100_000), "more than 64 deep"),
        case("100 memories", many_memories(), "memories"),
        case("100 tables", many_tables(), "tables"),
        case("100 core instances", many_instances(100), "instances"),
        case("memory of 4 GiB from the start", wat(claims), "memory"),
        case("memory with threads", wat(shared), "threads"),
        case("`_start` with a parameter", wat(start), "no function `_start` without parameters"),
        case("`_start` that is a memory", wat(no_function), "no function `_start`"),
        case("entry of another type", wat(entry), "does not fit this runner"),
        case("`run` of another type", wat(run), "does not fit this runner"),
    ]
}

/// The cases for people: the name, and what is asserted.
pub fn table() -> impl Iterator<Item = (String, String)> {
    let row = |case: Case| {
        (case.name.to_owned(), format!("refused with `invalid_module`: “{}”", case.words))
    };
    cases().into_iter().map(row)
}

#[tokio::test]
async fn each_compile_bomb_is_refused_within_its_bounds_and_only_once() {
    let scene = Scene::with(|settings| {
        settings.sandbox.compile.cpu = Duration::from_secs(2);
        settings.sandbox.compile.wall = Duration::from_secs(10);
        settings.sandbox.compile.memory_bytes = 1 << 30;
    })
    .await;
    let mut wrong = Vec::new();
    for Case { name, module, words } in cases() {
        let id = scene.analysis(name, &json!({})).await;
        let before = scene.picture();
        let compiled = scene.compilations();
        for round in 0..2 {
            let (answer, ()) =
                tokio::join!(scene.api.upload(&id, &module), scene.neighbour_lives());
            let code = answer.body["code"].as_str().unwrap_or_default();
            let message = answer.body["message"].as_str().unwrap_or_default();
            let right = answer.status == 400
                && code == "invalid_module"
                && message.contains(words)
                && message.len() < 2_000;
            if !right {
                let body = answer.body.to_string();
                wrong.push(format!("{name}, round {round}: {} {body:.600}", answer.status));
            }
        }
        // What does not even pass the inspection is not compiled at all.
        let compiled = scene.compilations() - compiled;
        if compiled > 1 || (compiled == 0 && words.contains("does not compile")) {
            wrong.push(format!("{name} was compiled {compiled} times"));
        }
        scene.neighbours_live().await;
        // What is remembered of refusals is the one thing that may come.
        let after = scene.picture();
        assert_eq!(after.without("refused"), before.without("refused"), "{name}");
        let shown = scene.api.get(&format!("/analysis/{id}")).await.ok();
        assert!(shown["version"].is_null(), "{name}: {shown}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
