//! The snapshot of a script engine that has taken in a script: a component that needs neither
//! engine start nor parsing when it runs.
//!
//! Owns the instance in which the engine starts: what it imports, and the bounds of the script's
//! top level. Clock, randomness, console and network lead nowhere here, and the same script always
//! gives the same bytes. It knows the engine's `init` and nothing of the script's language.

use std::time::{Duration, Instant};

use wasmtime::component::{
    Component, ComponentNamedList, ComponentType, Instance, Lift, Linker, ResourceTable, WasmList,
};
use wasmtime::{Engine, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView,
    WasiView,
};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use super::http::Http;
use super::limits::{Budget, Limiter};
use super::{engine, guest};

/// The function of an engine that takes in a script: its name and its text.
const INIT: &str = "init";

/// How often the top level's time is looked at.
const TICK: Duration = Duration::from_millis(10);

/// The most random bytes of one call.
const RANDOM_BYTES: u64 = 1 << 20;

/// How long a script's top level may run at build time, and how much memory it may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InitBounds {
    /// Time on the clock.
    pub wall: Duration,
    /// Linear memory, the engine's own included.
    pub memory_bytes: u64,
}

impl Default for InitBounds {
    fn default() -> Self {
        Self { wall: Duration::from_secs(10), memory_bytes: 256 << 20 }
    }
}

/// What an engine says about a script that it took in.
#[derive(Clone, PartialEq, Eq, Debug, ComponentType, Lift)]
#[component(record)]
pub struct Report {
    /// Whether the snapshot holds what the top level made; else the top level runs in each run.
    pub evaluated: bool,
    /// What of the host the top level touched, and where, so that it was not evaluated.
    pub touched: Vec<String>,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The engine refused the script, in its own words.
    #[error("{0}")]
    Script(String),
    /// The script's top level ran too long.
    #[error("its top level does not end within {} s; move that work into the analysis", .0.as_secs())]
    TooSlow(Duration),
    /// The script's top level took too much memory; the bound, in bytes.
    #[error("its top level needs more than {} MiB of memory", .0 >> 20)]
    TooLarge(u64),
    /// The engine stopped at a trap.
    #[error("its top level stops the engine: {0}")]
    Trap(String),
    /// The engine is not one. The runner is to blame.
    #[error("the engine cannot be used: {0}")]
    Engine(String),
}

/// Lets `engine` take in a script, and returns it as it stands then. Blocks until that is done.
///
/// `engine` is a component of the world `runner:javascript/engine`, and must be trusted.
pub fn snapshot(
    engine: &[u8],
    name: &str,
    source: &str,
    bounds: &InitBounds,
) -> Result<(Vec<u8>, Report), SnapshotError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| SnapshotError::Engine(error.to_string()))?;
    runtime.block_on(take_in(engine, name, source, bounds))
}

async fn take_in(
    script_engine: &[u8],
    name: &str,
    source: &str,
    bounds: &InitBounds,
) -> Result<(Vec<u8>, Report), SnapshotError> {
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(script_engine).map_err(unusable)?;
    let engine = engine::snapshotting().map_err(unusable)?;
    let component = Component::new(&engine, &instrumented).map_err(unusable)?;
    let mut linker = Linker::<Seclusion>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(unusable)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(unusable)?;
    guest::add_deaf_console(&mut linker).map_err(unusable)?;
    engine::tick(&engine, TICK).map_err(|error| SnapshotError::Engine(error.to_string()))?;
    let mut store = Seclusion::store(&engine, bounds);
    let instance = linker.instantiate_async(&mut store, &component).await.map_err(unusable)?;
    let init = instance
        .get_typed_func::<(&str, &str), (Result<Report, String>,)>(&mut store, INIT)
        .map_err(unusable)?;
    let called = tokio::time::timeout(bounds.wall, init.call_async(&mut store, (name, source)));
    let report = match called.await {
        Ok(Ok((Ok(report),))) => report,
        Ok(Ok((Err(why),))) => return Err(refusal(SnapshotError::Script(why), &store, bounds)),
        Ok(Err(error)) => return Err(refusal(trap(&error, bounds), &store, bounds)),
        Err(_) => return Err(SnapshotError::TooSlow(bounds.wall)),
    };
    let mut taken = Taken { store, instance, failure: None };
    let bytes = wizer.snapshot_component(&context, &mut taken).await.map_err(unusable)?;
    match taken.failure {
        None => Ok((bytes, report)),
        Some(error) => Err(unusable(error)),
    }
}

fn unusable(error: wasmtime::Error) -> SnapshotError {
    SnapshotError::Engine(format!("{error:#}"))
}

fn trap(error: &wasmtime::Error, bounds: &InitBounds) -> SnapshotError {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => SnapshotError::TooSlow(bounds.wall),
        Some(trap) => SnapshotError::Trap(trap.to_string()),
        None => SnapshotError::Trap(format!("{error:#}")),
    }
}

/// A script that was refused memory fails in many ways, which all come from that.
fn refusal(why: SnapshotError, store: &Store<Seclusion>, bounds: &InitBounds) -> SnapshotError {
    match store.data().limiter.refused() {
        Some(_) => SnapshotError::TooLarge(bounds.memory_bytes),
        None => why,
    }
}

/// What an engine finds around itself while it takes in a script: nothing, always the same.
struct Seclusion {
    limiter: Limiter,
    deadline: Instant,
    wasi: WasiCtx,
    http: Http,
    table: ResourceTable,
}

impl Seclusion {
    fn store(engine: &Engine, bounds: &InitBounds) -> Store<Self> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM_BYTES)
            .secure_random(Deterministic::new(vec![0]))
            .insecure_random(Deterministic::new(vec![0]))
            .insecure_random_seed(0)
            .wall_clock(Standstill)
            .monotonic_clock(Standstill);
        let seclusion = Self {
            limiter: Limiter::new(bounds.memory_bytes, Budget::new(bounds.memory_bytes)),
            deadline: Instant::now() + bounds.wall,
            wasi: wasi.build(),
            http: Http::new(None),
            table: ResourceTable::new(),
        };
        let mut store = Store::new(engine, seclusion);
        store.limiter(|seclusion| &mut seclusion.limiter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            Ok(match Instant::now() < store.data().deadline {
                true => UpdateDeadline::Continue(1),
                false => UpdateDeadline::Interrupt,
            })
        });
        store
    }
}

impl WasiView for Seclusion {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Seclusion {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Self { http, table, .. } = self;
        WasiHttpCtxView { ctx: &mut http.context, table, hooks: &mut http.hooks }
    }
}

/// A clock that stands still.
struct Standstill;

impl HostWallClock for Standstill {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Standstill {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// An engine that has taken in a script, read by way of the functions that the instrumentation
/// added to it.
struct Taken {
    store: Store<Seclusion>,
    instance: Instance,
    /// The first call that failed. Its answer, and all later ones, mean nothing.
    failure: Option<wasmtime::Error>,
}

impl Taken {
    async fn read<R, T: Default>(
        &mut self,
        instance: &str,
        func: &str,
        use_answer: impl FnOnce(&Store<Seclusion>, R) -> T + Send,
    ) -> T
    where
        R: Lift + Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        match self.call(instance, func).await {
            Ok(answer) => use_answer(&self.store, answer),
            Err(error) => {
                self.failure.get_or_insert(error);
                T::default()
            }
        }
    }

    async fn call<R>(&mut self, instance: &str, func: &str) -> wasmtime::Result<R>
    where
        R: Lift + Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        let missing = || wasmtime::format_err!("the instrumented engine has no `{func}`");
        let store = &mut self.store;
        let (_, holder) =
            self.instance.get_export(&mut *store, None, instance).ok_or_else(missing)?;
        let (_, export) =
            self.instance.get_export(&mut *store, Some(&holder), func).ok_or_else(missing)?;
        let func = self.instance.get_typed_func::<(), (R,)>(&mut *store, export)?;
        Ok(func.call_async(store, ()).await?.0)
    }
}

impl ComponentInstanceState for Taken {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let read = |store: &Store<Seclusion>, list: WasmList<u8>| contents(list.as_le_slice(store));
        self.read(instance, func, read).await;
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.read(instance, func, |_, answer| answer).await
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.read(instance, func, |_, answer| answer).await
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.read(instance, func, |_, answer: f32| answer.to_bits()).await
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.read(instance, func, |_, answer: f64| answer.to_bits()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine whose scripts are one letter: `l` loops, `m` takes memory, `u` traps, `e` is an
    /// error, and all else is taken in and kept.
    const ENGINE: &str = r#"(component
        (core module $m
            (memory (export "memory") 1)
            (global $heap (mut i32) (i32.const 1024))
            (global $kept (mut i32) (i32.const 0))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                global.get $heap
                (global.set $heap (i32.add (global.get $heap)
                    (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8)))))
            (func (export "init") (param i32 i32 i32 i32) (result i32)
                (global.set $kept (i32.load8_u (local.get 2)))
                (i32.store (i32.const 64) (global.get $kept))
                (if (i32.eq (global.get $kept) (i32.const 0x6c)) (then (loop (br 0))))
                (if (i32.eq (global.get $kept) (i32.const 0x75)) (then unreachable))
                (if (i32.eq (global.get $kept) (i32.const 0x6d)) (then
                    (if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1))
                        (then unreachable))))
                (if (result i32) (i32.eq (global.get $kept) (i32.const 0x65))
                    (then
                        (i32.store8 (i32.const 16) (i32.const 1))
                        (i32.store (i32.const 20) (local.get 0))
                        (i32.store (i32.const 24) (local.get 1))
                        (i32.const 16))
                    (else
                        (i32.store8 (i32.const 20) (i32.const 1))
                        (i32.const 16))))
            (func (export "kept") (result i32)
                (i32.add (global.get $kept) (i32.load (i32.const 64)))))
        (core instance $i (instantiate $m))
        (type $r (record (field "evaluated" bool) (field "touched" (list string))))
        (export $report "report" (type $r))
        (func (export "init") (param "name" string) (param "source" string)
            (result (result $report (error string)))
            (canon lift (core func $i "init") (memory (core memory $i "memory"))
                (realloc (core func $i "realloc"))))
        (func (export "kept") (result s32) (canon lift (core func $i "kept"))))"#;

    fn take_in(source: &str) -> Result<(Vec<u8>, Report), SnapshotError> {
        let engine = wat::parse_str(ENGINE).unwrap();
        let bounds = InitBounds { wall: Duration::from_millis(200), memory_bytes: 1 << 20 };
        snapshot(&engine, "x.js", source, &bounds)
    }

    fn kept(component: &[u8]) -> i32 {
        let engine = engine::snapshotting().unwrap();
        let component = Component::new(&engine, component).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
        let kept = instance.get_typed_func::<(), (i32,)>(&mut store, "kept").unwrap();
        kept.call(&mut store, ()).unwrap().0
    }

    #[test]
    fn what_the_engine_holds_is_in_the_snapshot() {
        let (component, report) = take_in("z").unwrap();
        assert_eq!(report, Report { evaluated: true, touched: Vec::new() });
        assert_eq!(kept(&component), 2 * i32::from(b'z'));
        assert_eq!(kept(&wat::parse_str(ENGINE).unwrap()), 0);
        assert_eq!(take_in("z").unwrap().0, component);
    }

    #[test]
    fn a_script_that_fails_gives_no_snapshot() {
        let error = |source| take_in(source).unwrap_err();
        assert!(matches!(error("e"), SnapshotError::Script(why) if why == "x.js"));
        assert!(matches!(error("l"), SnapshotError::TooSlow(_)));
        assert!(matches!(error("m"), SnapshotError::TooLarge(_)));
        assert!(matches!(error("u"), SnapshotError::Trap(_)));
    }

    #[test]
    fn what_is_no_engine_is_the_hosts_fault() {
        let component = wat::parse_str("(component)").unwrap();
        for bytes in [&b"x"[..], &component] {
            let error = snapshot(bytes, "x.js", "", &InitBounds::default()).unwrap_err();
            assert!(matches!(error, SnapshotError::Engine(_)), "{error}");
        }
    }
}
