//! What the host keeps beside one instance.

use std::path::PathBuf;
use std::time::Instant;

use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::command::{self, CommandInput};
use super::console::Console;
use super::http::Http;
use super::limits::Limiter;
use super::signing::Sign;
use crate::outbound::Fetch;

/// The most bytes a guest may hand to the host in one call, and so the most that the host copies
/// for it at one time.
const HOST_CALL_BYTES: usize = 64 << 20;

/// The data of one guest's store.
pub(super) struct State {
    pub(super) limiter: Limiter,
    pub(super) console: Console,
    /// How the guest signs, if it may.
    pub(super) sign: Option<Sign>,
    deadline: Instant,
    input: Option<CommandInput>,
    http: Http,
    /// Where the scratch directory lies, if there is one.
    scratch: Option<PathBuf>,
    /// Made when the guest first calls WASI: many never do.
    wasi: Option<Box<WasiP1Ctx>>,
}

impl State {
    pub(super) fn new(
        limiter: Limiter,
        console: Console,
        deadline: Instant,
        input: Option<CommandInput>,
        fetch: Option<Fetch>,
        scratch: Option<PathBuf>,
    ) -> Self {
        let http = Http::new(fetch.map(|fetch| (fetch, console.clone())));
        Self { limiter, console, sign: None, deadline, input, http, scratch, wasi: None }
    }

    /// A store around this state, with all its limits in force.
    pub(super) fn into_store(self, engine: &wasmtime::Engine) -> Store<Self> {
        let mut store = Store::new(engine, self);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOST_CALL_BYTES);
        store.set_epoch_deadline(1);
        // The clock is looked at here too, because timers come late on a host that is full of
        // computing guests.
        store.epoch_deadline_callback(|store| {
            Ok(match Instant::now() < store.data().deadline {
                true => UpdateDeadline::Yield(1),
                false => UpdateDeadline::Interrupt,
            })
        });
        store
    }

    pub(super) fn wasi(&mut self) -> &mut WasiP1Ctx {
        let Self { wasi, input, console, scratch, .. } = self;
        wasi.get_or_insert_with(|| {
            Box::new(command::wasi(input.take(), console, scratch.as_deref()))
        })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi().ctx()
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Self { wasi, input, console, scratch, http, .. } = self;
        let wasi = wasi.get_or_insert_with(|| {
            Box::new(command::wasi(input.take(), console, scratch.as_deref()))
        });
        let table = wasi.ctx().table;
        WasiHttpCtxView { ctx: &mut http.context, table, hooks: &mut http.hooks }
    }
}
