//! The one wasmtime engine: how it compiles, where instances live, and its clock.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm, WasmFeatures,
};

use super::Error;
use super::settings::Settings;
use crate::analysis::module::FEATURES;

/// The most elements of one table. The JavaScript engine needs 7,700, large programs more.
pub(super) const TABLE_ELEMENTS: usize = 100_000;

/// The most core instances, memories and tables in one module or component.
pub(super) const CORE_INSTANCES: u32 = 64;
pub(super) const MEMORIES: u32 = 2;
pub(super) const TABLES: u32 = 8;

/// The guest's own stack. The rest of a fiber's stack is for host calls.
pub(super) const WASM_STACK: usize = 1 << 20;
const FIBER_STACK: usize = 2 << 20;

const PAGE: u64 = 64 << 10;

/// Opens what the fast reset of memory needs from the system.
///
/// A process that made itself not dumpable can no longer open its own page map unless it is root:
/// call this before that, or guests start about half as fast.
pub fn prepare() {
    let _ = PoolingAllocationConfig::is_pagemap_scan_available();
}

/// The settings that shape machine code. The compiling child and the host must agree on them.
fn code_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_features(FEATURES, true)
        .wasm_features(WasmFeatures::all().difference(FEATURES), false)
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .consume_fuel(false)
        .memory_init_cow(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK);
    config
}

/// An engine that only compiles.
pub(super) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&code_config())
}

/// The stack of an engine that takes in a script: code that was compiled in a hurry takes more.
const INIT_STACK: usize = 8 << 20;

/// An engine for one instance that takes in a script, within little address space.
pub(super) fn snapshotting() -> wasmtime::Result<Engine> {
    let mut config = code_config();
    config
        .cranelift_opt_level(OptLevel::None)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass)
        .max_wasm_stack(INIT_STACK)
        .async_stack_size(INIT_STACK + FIBER_STACK)
        .memory_reservation(0)
        .memory_reservation_for_growth(16 << 20)
        .memory_guard_size(PAGE);
    Engine::new(&config)
}

/// An engine that runs guests, in slots reserved in advance, with its epoch ticking.
pub(super) fn running(settings: &Settings) -> Result<Engine, Error> {
    let guests = u32::try_from(settings.guests.max(1)).unwrap_or(u32::MAX);
    let memory = settings.caps.memory_bytes.next_multiple_of(PAGE).min(4 << 30);
    // The kernel can tell which pages a guest touched since Linux 6.7. Where it cannot, the start
    // of each memory is wiped by hand: then it must not be much more than what guests touch.
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let keep = if scan { 8 << 20 } else { 2 << 20 };
    let mut pool = PoolingAllocationConfig::new();
    pool.pagemap_scan(if scan { Enabled::Yes } else { Enabled::No })
        .linear_memory_keep_resident(keep)
        .table_keep_resident(64 << 10)
        .max_unused_warm_slots(guests)
        .total_component_instances(guests)
        .total_stacks(guests)
        // Every guest may take the most that one component can, so a slot is always free.
        .total_core_instances(guests.saturating_mul(CORE_INSTANCES))
        .total_memories(guests.saturating_mul(MEMORIES))
        .total_tables(guests.saturating_mul(TABLES))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_memories_per_module(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(usize::try_from(memory).unwrap_or(usize::MAX));
    let mut config = code_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config)
        .map_err(|e| Error::Engine { guests: settings.guests, reason: format!("{e:#}") })?;
    tick(&engine, settings.epoch_tick)?;
    Ok(engine)
}

/// Counts the engine's epoch up until the engine is dropped.
pub(super) fn tick(engine: &Engine, every: Duration) -> Result<(), Error> {
    let engine = engine.weak();
    let every = every.max(Duration::from_millis(1));
    std::thread::Builder::new()
        .name("sandbox-epoch".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(every);
            }
        })
        .map(drop)
        .map_err(Error::Thread)
}

/// What tells whether an artefact of another process fits this engine: wasmtime's version, its
/// settings and the processor's features, hashed.
pub(super) fn compatibility(engine: &Engine) -> [u8; 32] {
    let mut hasher = ShaHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// Feeds SHA-256 through the standard trait: the standard hasher's output may differ between
/// builds, and is short.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        u64::from_le_bytes(digest[..8].try_into().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_child_compiles_fits_the_running_engine() {
        let settings = Settings { guests: 2, ..Settings::default() };
        let (child, host) = (compiling().unwrap(), running(&settings).unwrap());
        assert_eq!(compatibility(&child), compatibility(&host));
        let mut other = code_config();
        other.epoch_interruption(false);
        let other = Engine::new(&other).unwrap();
        assert_ne!(compatibility(&other), compatibility(&host));
    }

    #[test]
    fn the_inspector_and_the_engine_allow_the_same_features() {
        let engine = compiling().unwrap();
        for text in [
            "(module (memory 1 1 shared))",
            "(module (tag))",
            "(module (type (struct)))",
            "(module (func (param externref)))",
            "(module (memory i64 1))",
            "(module (memory 1) (memory 1))",
            "(module (func (result v128) v128.const i64x2 0 0))",
            "(module (func (return_call 0)))",
        ] {
            let bytes = wat::parse_str(text).unwrap();
            let ours = wasmparser::Validator::new_with_features(FEATURES).validate_all(&bytes);
            let theirs = engine.precompile_module(&bytes);
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{text}: {:?}", theirs.err());
        }
    }

    #[test]
    fn the_clock_ends_with_its_engine() {
        let settings = Settings { guests: 1, ..Settings::default() };
        let engine = running(&settings).unwrap();
        let weak = engine.weak();
        drop(engine);
        std::thread::sleep(settings.epoch_tick * 4);
        assert!(weak.upgrade().is_none());
    }
}
