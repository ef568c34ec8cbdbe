//! `wasi:http` as a guest sees it: outgoing requests, which all go through the run's one closure.
//!
//! Owns the passage between wasmtime's types and ours, and that a refusal stands in the console
//! too. Owns how much the host keeps for one handle of a guest, which no limit of its memory sees. It
//! decides nothing about destinations and opens no connection.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt as _;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest as _, Method};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks, WasiHttpView as _};

use super::console::Console;
use super::state::State;
use crate::outbound::{self, Fetch, Timeouts};
use crate::run::console::Level;

/// The interface with the requests.
const TYPES: &str = "wasi:http/types@0.2.12";

/// The most bytes of the name of a method.
const METHOD_BYTES: usize = 64;

/// The most bytes of the authority of a URL: a name of DNS, its port and some more.
const AUTHORITY_BYTES: usize = 512;

/// The most bytes of the path of a URL with its query.
const PATH_BYTES: usize = 16 << 10;

/// The most bytes of a list of header fields that a guest makes, as the host keeps them.
const FIELDS_BYTES: usize = 32 << 10;

/// The most bytes of one piece of a request's body. The host keeps two of them.
const PIECE_BYTES: usize = 8 << 10;

/// How many different refusals of one run are told in its console.
const TOLD: usize = 32;

/// A task of an answer that goes on beside its body.
type Io = Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>;

/// What a guest's `wasi:http` needs beside the table of its handles.
pub(super) struct Http {
    pub(super) context: WasiHttpCtx,
    pub(super) hooks: Hooks,
}

/// Sends a guest's requests.
pub(super) struct Hooks {
    /// The closure, and the console that is told what it refuses.
    way: Option<(Fetch, Console)>,
    told: Option<Told>,
}

/// What is at hand when a guest calls.
type Store<'a> = StoreContextMut<'a, State>;

/// A part of a URL, or its absence.
type Text = Option<String>;

/// The refusals that the console has already.
type Told = Arc<Mutex<HashSet<String>>>;

impl Http {
    pub(super) fn new(way: Option<(Fetch, Console)>) -> Self {
        let hooks = Hooks { way, told: None };
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(FIELDS_BYTES);
        Self { context, hooks }
    }
}

/// Gives components their outgoing requests.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    // A request that is never sent is kept with all of its texts, and there may be thousands: texts
    // that no server takes are refused, as those are that have no meaning.
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: Store<'_>, (request, method): (Resource<HostOutgoingRequest>, Method)| {
            let long = matches!(&method, Method::Other(name) if name.len() > METHOD_BYTES);
            let set = || store.data_mut().http().set_method(request, method);
            Ok((if long { Err(()) } else { set()? },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: Store<'_>, (request, text): (Resource<HostOutgoingRequest>, Text)| {
            let long = text.as_ref().is_some_and(|text| text.len() > AUTHORITY_BYTES);
            let set = || store.data_mut().http().set_authority(request, text);
            Ok((if long { Err(()) } else { set()? },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: Store<'_>, (request, text): (Resource<HostOutgoingRequest>, Text)| {
            let long = text.as_ref().is_some_and(|text| text.len() > PATH_BYTES);
            let set = || store.data_mut().http().set_path_with_query(request, text);
            Ok((if long { Err(()) } else { set()? },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

impl WasiHttpHooks for Hooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE_BYTES
    }

    fn send_request(
        &mut self,
        request: hyper::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = wasmtime_wasi_http::Result<(hyper::Response<WasiBody>, Io)>> + Send>
    {
        let options = options.unwrap_or_default();
        let timeouts = Timeouts {
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        };
        let request = request.map(|body| body.map_err(from_guest).boxed_unsync());
        let Some((fetch, console)) = &self.way else {
            let no_network = outbound::Error::Denied("this run has no network".into());
            return Box::new(async { Err(to_guest(no_network)) });
        };
        let exchange = fetch(request, timeouts);
        let (console, told) = (console.clone(), Arc::clone(self.told.get_or_insert_default()));
        let refuse = move |error| {
            tell(&console, &told, &error);
            to_guest(error)
        };
        Box::new(async move {
            let response = exchange.await.map_err(&refuse)?;
            let response = response.map(|body| body.map_err(refuse).boxed_unsync());
            Ok((response, Box::new(async { Ok(()) }) as Io))
        })
    }
}

/// Warns in the console of what the run may not do, the first time.
fn tell(console: &Console, told: &Told, error: &outbound::Error) {
    let outbound::Error::Denied(text) = error else { return };
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < TOLD && told.insert(text.clone()) {
        console.log(Level::Warn, text);
    }
}

/// Why a guest's own body broke off.
fn from_guest(error: wasmtime_wasi_http::Error) -> outbound::Error {
    outbound::Error::Invalid(format!("the request's body is incomplete: {error}"))
}

/// The codes that say as much as our words; all other words travel as an internal error, the one
/// code that carries text.
fn to_guest(error: outbound::Error) -> wasmtime_wasi_http::Error {
    use wasmtime_wasi_http::Error;
    match error {
        outbound::Error::ConnectionRefused(_) => Error::ConnectionRefused,
        outbound::Error::UnknownName(_) => {
            Error::DnsError { rcode: Some(error.to_string()), info_code: None }
        }
        error => Error::InternalError(Some(error.to_string())),
    }
}
