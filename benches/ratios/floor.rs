//! The floor: wasmtime alone, as fast as its API lets anybody be, with the runner's settings.
//!
//! One engine, a linked component, a record made in advance; for each run a fresh store and
//! instance, one call, and all of it dropped. No policies, secrets, limits, timeouts or masks.

use std::hint::black_box;
use std::time::Duration;

use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store,
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

mod bindings {
    wasmtime::component::bindgen!({
        path: "runtime/wit",
        world: "runner:analysis/analysis",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: false },
    });
}

use bindings::runner::analysis::console;
use bindings::runner::analysis::types::{Context, Variable};
use bindings::{Analysis, AnalysisPre};

/// A component, linked, with the record that every run gets.
pub struct Floor {
    engine: Engine,
    linked: AnalysisPre<State>,
    environment: &'static [Variable<'static>],
}

/// What stands beside an instance; WASI is made when it is first called, as in the runner.
#[derive(Default)]
struct State {
    wasi: Option<(WasiCtx, ResourceTable)>,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let make = || (WasiCtxBuilder::new().build(), ResourceTable::new());
        let (ctx, table) = self.wasi.get_or_insert_with(make);
        WasiCtxView { ctx, table }
    }
}

impl console::Host for State {
    fn log(&mut self, _level: console::Level, message: String) {
        black_box(message);
    }
}

impl Floor {
    /// Compiles and links `module`.
    pub fn new(module: &[u8], environment: Vec<(String, String)>) -> Self {
        let engine = Engine::new(&config()).expect("an engine");
        let weak = engine.weak();
        std::thread::spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let component = Component::new(&engine, module).expect("a component");
        let mut linker = Linker::<State>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI");
        type Itself = wasmtime::component::HasSelf<State>;
        console::add_to_linker::<_, Itself>(&mut linker, |state| state).expect("the console");
        let linked = linker.instantiate_pre(&component).and_then(AnalysisPre::new);
        // The record borrows for as long as the process lives.
        let variable =
            |(key, value): (String, String)| Variable { key: key.leak(), value: value.leak() };
        let environment: Vec<_> = environment.into_iter().map(variable).collect();
        Self { engine, linked: linked.expect("it links"), environment: environment.leak() }
    }

    /// Runs it once.
    pub async fn run(&self) -> Option<String> {
        let mut store = Store::new(&self.engine, State::default());
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let context = Context {
            analysis_id: "0123456789abcdef01234567",
            run_id: "0123456789abcdef01234568",
            token: "a-0123456789abcdef0123456789abcdef01",
            environment: self.environment,
        };
        let analysis: Analysis =
            self.linked.instantiate_async(&mut store).await.expect("an instance");
        let entry = analysis.runner_analysis_entry();
        let answer = entry.call_run(&mut store, context, "[]").await.expect("no trap");
        answer.expect("it ends well")
    }
}

/// The settings of the runner's own engine.
fn config() -> Config {
    let guests = 64;
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::new();
    pool.pagemap_scan(if scan { Enabled::Yes } else { Enabled::No })
        .linear_memory_keep_resident(if scan { 8 << 20 } else { 2 << 20 })
        .table_keep_resident(64 << 10)
        .max_unused_warm_slots(guests)
        .total_component_instances(guests)
        .total_stacks(guests)
        .total_core_instances(guests * 64)
        .total_memories(guests * 2)
        .total_tables(guests * 8)
        .max_core_instances_per_component(64)
        .max_memories_per_component(2)
        .max_tables_per_component(8)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .table_elements(100_000)
        .max_memory_size(256 << 20);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(1 << 20)
        .async_stack_size(2 << 20);
    config
}
