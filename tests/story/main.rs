//! Stories: the product used through its real router or its real binary, with real modules.
//!
//! One binary, because each further one would link wasmtime again.

mod compilation;
mod docs;
mod harness;
mod layers;
