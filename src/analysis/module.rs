//! What an upload is: its form, and why it is refused.
//!
//! Owns the reading of WebAssembly bytes. It compiles nothing and does not know what the runner
//! gives to a guest: imports are checked when the sandbox links the module.

mod digest;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wasmparser::types::EntityType;
use wasmparser::{ComponentExternalKind, Parser, Payload, ValidPayload, Validator, WasmFeatures};

pub use digest::{Digest, InvalidDigest};
pub use source::{source, with_source};

/// What a component of the runner's own form exports.
pub const ENTRY: &str = "runner:analysis/entry@1.0.0";

/// The WebAssembly features that modules may use: the third edition of the standard without
/// threads, garbage collection and exceptions, and the component model without async.
pub const FEATURES: WasmFeatures = WasmFeatures::WASM3
    .difference(WasmFeatures::GC)
    .difference(WasmFeatures::GC_TYPES)
    .difference(WasmFeatures::EXCEPTIONS)
    .difference(WasmFeatures::THREADS)
    .union(WasmFeatures::COMPONENT_MODEL);

/// How deep components may stand in each other. Toolchains need three or four; the time to read more
/// grows with the square of the depth.
const MAX_NESTING: usize = 64;

/// How many names of a module's exports a message shows.
const SHOWN: usize = 5;

/// How the runner enters a module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A component that exports [`ENTRY`].
    Component,
    /// A core module with WASI preview 1's `_start`.
    Command,
    /// A component that exports `wasi:cli/run` of WASI 0.2.
    CommandComponent,
}

impl Form {
    const ALL: [Self; 3] = [Self::Component, Self::Command, Self::CommandComponent];

    /// The word for it in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Command => "command",
            Self::CommandComponent => "command_component",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Form {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|form| form.as_str() == text).ok_or(())
    }
}

/// Why bytes are not a module that the runner can run. Each message says what was found and what
/// to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidModule {
    /// There are no bytes.
    #[error("the file is empty; upload a compiled .wasm file")]
    Empty,
    /// The bytes do not begin as WebAssembly does.
    #[error("this is not WebAssembly but {found}; {advice}")]
    NotWasm {
        /// What the bytes look like.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A version of the binary format that does not exist, or only did before the standard.
    #[error(
        "this WebAssembly has the unknown binary version {0:#010x}; rebuild it with a current \
         toolchain"
    )]
    Version(u32),
    /// The bytes end too early.
    #[error("the file ends too early, at byte {0}: it was cut off. Build or copy it again")]
    Truncated(usize),
    /// The bytes break a rule of WebAssembly, or use a feature that is switched off.
    #[error(
        "the module is not valid: {message} (at byte {offset}). Rebuild it without threads, \
         exceptions and garbage collection, which the runner does not offer"
    )]
    Invalid {
        /// The validator's words.
        message: String,
        /// Where.
        offset: usize,
    },
    /// Components or modules stand in each other too deeply.
    #[error(
        "components stand in each other more than {MAX_NESTING} deep (at byte {0}). Build the \
         component without nesting it so deeply"
    )]
    Nested(usize),
    /// A core module without a `_start` of the right type.
    #[error(
        "this core module has no function `_start` without parameters and results; {exports}. \
         Build a program and not a library, for example for wasm32-wasip1 with a main function, or \
         a component that exports {ENTRY}"
    )]
    NoStart {
        /// What it exports instead.
        exports: String,
    },
    /// A component without an entry that the runner knows.
    #[error(
        "this component exports neither {ENTRY} nor wasi:cli/run@0.2; {exports}. Build it against \
         the runner's WIT world `analysis`, or as a WASI 0.2 command"
    )]
    NoEntry {
        /// What it exports instead.
        exports: String,
    },
}

/// Says which form `bytes` have, or why they cannot run.
///
/// Reads the whole module and validates all of it but the bodies of functions: those are left to
/// the compiler, which works within bounds, because checking them may take very long.
pub fn inspect(bytes: &[u8]) -> Result<Form, InvalidModule> {
    check_header(bytes)?;
    let mut validator = Validator::new_with_features(FEATURES);
    let (mut ended, mut depth) = (None, 0_usize);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::ComponentSection { unchecked_range, .. } if depth == MAX_NESTING => {
                return Err(InvalidModule::Nested(unchecked_range.start));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        // Those of nested modules come before the outermost one's.
        if let ValidPayload::End(types) = validator.payload(&payload).map_err(invalid)? {
            ended = Some(types);
        }
    }
    let types = ended.ok_or(InvalidModule::Truncated(bytes.len()))?;
    if Parser::is_component(bytes) {
        return inspect_component(bytes);
    }
    let exports: Vec<_> = types.as_ref().core_exports().into_iter().flatten().collect();
    let is_start = |(name, entity): &(&str, EntityType)| match entity {
        EntityType::Func(id) if *name == "_start" => {
            let ty = types[*id].unwrap_func();
            ty.params().is_empty() && ty.results().is_empty()
        }
        _ => false,
    };
    match exports.iter().any(is_start) {
        true => Ok(Form::Command),
        false => {
            let names: Vec<_> = exports.iter().map(|(name, _)| *name).collect();
            Err(InvalidModule::NoStart { exports: list(&names) })
        }
    }
}

fn inspect_component(bytes: &[u8]) -> Result<Form, InvalidModule> {
    let mut depth = 0_usize;
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    exports.push((export.name.name, export.kind));
                }
            }
            _ => {}
        }
    }
    let has = |wanted: &dyn Fn(&str) -> bool| {
        exports.iter().any(|(name, kind)| *kind == ComponentExternalKind::Instance && wanted(name))
    };
    if has(&|name| name == ENTRY) {
        Ok(Form::Component)
    } else if has(&|name| name == "wasi:cli/run@0.2" || name.starts_with("wasi:cli/run@0.2.")) {
        Ok(Form::CommandComponent)
    } else {
        let names: Vec<_> = exports.iter().map(|(name, _)| *name).collect();
        Err(InvalidModule::NoEntry { exports: list(&names) })
    }
}

fn check_header(bytes: &[u8]) -> Result<(), InvalidModule> {
    const MAGIC: &[u8] = b"\0asm";
    if bytes.is_empty() {
        return Err(InvalidModule::Empty);
    }
    if !bytes.starts_with(MAGIC) {
        let (found, advice) = match MAGIC.starts_with(bytes) {
            true => return Err(InvalidModule::Truncated(bytes.len())),
            false => guess(bytes),
        };
        return Err(InvalidModule::NotWasm { found, advice });
    }
    let Some(version) = bytes.get(4..8).and_then(|version| version.try_into().ok()) else {
        return Err(InvalidModule::Truncated(bytes.len()));
    };
    match Parser::is_component(bytes) || Parser::is_core_wasm(bytes) {
        true => Ok(()),
        false => Err(InvalidModule::Version(u32::from_le_bytes(version))),
    }
}

/// What bytes without the magic number look like, and what their sender should do.
fn guess(bytes: &[u8]) -> (&'static str, &'static str) {
    const COMPILE: &str = "compile it to WebAssembly first and upload the .wasm file";
    const BINARIES: [(&[u8], &str, &str); 5] = [
        (b"\x7fELF", "a native Linux program", "build it for wasm32-wasip1 or wasm32-wasip2"),
        (b"MZ", "a native Windows program", "build it for wasm32-wasip1 or wasm32-wasip2"),
        (b"\x1f\x8b", "gzip-compressed data", "unpack it and upload the .wasm file itself"),
        (b"\x28\xb5\x2f\xfd", "zstd-compressed data", "unpack it and upload the .wasm file itself"),
        (b"PK\x03\x04", "a ZIP archive", "unpack it and upload the .wasm file itself"),
    ];
    if let Some((_, found, advice)) = BINARIES.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return (found, advice);
    }
    // The end may cut a character in half, so look at a piece and ignore its last bytes.
    let head = &bytes[..bytes.len().min(4096)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() && e.valid_up_to() > 0 => {
            std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return ("binary data of an unknown kind", COMPILE),
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let contains = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.starts_with("(module") || text.starts_with("(component") {
        ("WebAssembly in its text form", "turn it into binary with wat2wasm or wasm-tools parse")
    } else if text.starts_with('<') {
        ("an HTML or XML page", "upload the .wasm file itself; the download may have failed")
    } else if contains(&["=>", "require(", "module.exports", "function ", "const ", "let "]) {
        (
            "JavaScript or TypeScript source",
            "give it a file name that ends in .js or .ts, and it is built here",
        )
    } else if contains(&["import ", "def ", "print("]) {
        ("source text, Python by its look", COMPILE)
    } else {
        ("a text file", COMPILE)
    }
}

fn invalid(error: wasmparser::BinaryReaderError) -> InvalidModule {
    let (message, offset) = (error.message(), error.offset());
    match message.starts_with("unexpected end") {
        true => InvalidModule::Truncated(offset),
        false => InvalidModule::Invalid { message: message.into(), offset },
    }
}

/// Some of the names, for a message.
fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "it exports nothing".into();
    }
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("{name:.100?}")).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("it exports {}{more}", shown.join(", "))
}
