//! Scripts: JavaScript and TypeScript source text, and how it becomes a module.
//!
//! Owns what is read from source text before an engine sees it (types, imports, positions) and the
//! messages about it, the bundling of npm projects, and the embedded JavaScript engine. It knows
//! neither analyses nor the store, and the engine's instance is the sandbox's.

mod blanks;
mod build;
mod engine;
mod imports;
mod known;
mod place;
mod project;
mod source;
mod source_map;
mod types;

pub use build::{BUILD_COMMAND, BuildError, Builder, Built, build_child};
pub use project::{ReadError, read};
pub use source::{InvalidSource, Language, MAX_SOURCE_BYTES, Script};
