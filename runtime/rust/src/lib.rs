//! Write analyses for the runner in Rust.
//!
//! An analysis is one function. It gets a [`Context`] and the scope, and returns a result or an
//! error:
//!
//! ```
//! use runner_analysis::{Context, Value, info};
//!
//! fn run(context: &Context, scope: Value) -> Result<usize, String> {
//!     let key = context.environment.require("API_KEY")?;
//!     info!("the key has {} characters", key.chars().count());
//!     Ok(scope.as_array().map_or(0, Vec::len))
//! }
//!
//! runner_analysis::analysis!(run);
//! # fn main() {}
//! ```
//!
//! The crate must be a `cdylib`, built with `cargo build --release --target wasm32-wasip2`. The
//! component then exports the world `analysis` of `runner:analysis@1.0.0`.
//!
//! Scope and result cross as JSON text. The scope may be any type that serde can read, and a
//! scope that does not fit it ends the run with an error that says why; the result may be any
//! type that serde can write. A result that serialises to `null`, such as `()`, is no result.
//!
//! A panic stops the run as a trap, with its message on the console. Return an error instead: its
//! text becomes the message of the run's fault.
//!
//! On any other target than WebAssembly the crate works too, with standard error as the console,
//! so that `cargo test` can call an analysis like any function.

#![warn(missing_docs)]

pub mod console;
mod context;
mod entry;
pub mod http;
pub mod signing;

pub use context::{Context, Environment};
pub use serde_json::{Value, json};

#[doc(hidden)]
pub mod bindings {
    //! Generated from the contract in `wit`. Only [`analysis!`](crate::analysis) needs it.

    wit_bindgen::generate!({
        path: "wit",
        world: "analysis",
        pub_export_macro: true,
        default_bindings_module: "runner_analysis::bindings",
        export_macro_name: "export_analysis",
    });
}

#[doc(hidden)]
pub use entry::enter;

/// Makes a function the analysis that this component exports. Use it once in a crate.
///
/// The function is a `fn(&Context, Scope) -> Result<Output, Failure>`, where the scope can be
/// deserialised, the output serialised and the failure displayed.
#[macro_export]
macro_rules! analysis {
    ($run:path) => {
        const _: () = {
            struct Entry;

            impl $crate::bindings::exports::runner::analysis::entry::Guest for Entry {
                fn run(
                    context: $crate::bindings::exports::runner::analysis::entry::Context,
                    scope: ::std::string::String,
                ) -> ::std::result::Result<
                    ::std::option::Option<::std::string::String>,
                    ::std::string::String,
                > {
                    $crate::enter($run, context, &scope)
                }
            }

            $crate::bindings::export_analysis! { Entry with_types_in $crate::bindings }
        };
    };
}
