//! The JavaScript engine of the runner: QuickJS with the APIs of the web, as a component.
//!
//! It lives twice. When an analysis is built, `init` takes in the script and the host takes a
//! snapshot of the whole memory. Each run is then a fresh instance of that snapshot, which finds
//! its script compiled, and mostly evaluated too. This crate owns what happens in both lives;
//! it knows nothing of types, bundles or files. What a script finds there is written in
//! JavaScript, in `../prelude`, above the functions of [`host`].

mod builtins;
mod bytes;
mod clock;
mod compiler;
mod event_loop;
mod failure;
mod hooks;
mod host;
mod memory;
mod position;
mod realm;
mod request;
mod run;
mod snapshot;
mod state;
mod timers;
mod touch;

mod bindings {
    //! Generated from the contracts in `runtime/wit` and `wit`.

    wit_bindgen::generate!({
        path: ["../../wit", "wit"],
        world: "runner:javascript/engine",
        generate_all,
    });
}

use bindings::exports::runner::analysis::entry;

struct Engine;

impl bindings::Guest for Engine {
    fn init(name: String, source: String) -> Result<bindings::Report, String> {
        let touched = snapshot::take(&name, &source)?;
        Ok(bindings::Report { evaluated: touched.is_empty(), touched })
    }
}

impl entry::Guest for Engine {
    fn run(context: entry::Context, scope: String) -> Result<Option<String>, String> {
        run::run(context, scope)
    }
}

bindings::export!(Engine with_types_in bindings);
