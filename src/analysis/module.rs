//! What an upload is: its form, and why it is refused.
//!
//! Owns the reading of WebAssembly bytes. It compiles nothing and does not know what the runner
//! gives to a guest: imports are checked when the sandbox links the module.

mod digest;
mod source;

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
    let mut ended = None;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMMAND: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    const COMMAND_COMPONENT: &str = r#"(component
        (core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $run)))"#;
    const COMPONENT: &str = r#"(component
        (component (instance $run) (export "wasi:cli/run@0.2.0" (instance $run)))
        (instance $entry)
        (export "runner:analysis/entry@1.0.0" (instance $entry)))"#;

    fn wasm(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    fn refusal(bytes: &[u8]) -> String {
        inspect(bytes).unwrap_err().to_string()
    }

    #[test]
    fn each_form_is_told_from_the_bytes() {
        assert_eq!(inspect(&wasm(COMMAND)), Ok(Form::Command));
        assert_eq!(inspect(&wasm(COMMAND_COMPONENT)), Ok(Form::CommandComponent));
        assert_eq!(inspect(&wasm(COMPONENT)), Ok(Form::Component));
    }

    #[test]
    fn what_is_not_wasm_is_named() {
        for (bytes, named) in [
            (&b""[..], "empty"),
            (b"export default async (context) => {}", "JavaScript"),
            (b"def main():\n  print('x')", "Python"),
            (b"hello", "a text file"),
            (b"(module)", "wat2wasm"),
            (b"<!doctype html>", "HTML"),
            (b"\x7fELF\x02\x01", "native Linux"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\xff\xfe\xfd", "unknown kind"),
            (b"\0as", "cut off"),
            (b"\0asm\x01\0", "cut off"),
            (b"\0asm\x02\0\0\0", "0x00000002"),
        ] {
            assert!(refusal(bytes).contains(named), "{named}: {}", refusal(bytes));
        }
    }

    #[test]
    fn a_cut_off_module_is_called_so() {
        let bytes = wasm(COMMAND);
        assert!(refusal(&bytes[..bytes.len() - 3]).contains("cut off"));
    }

    #[test]
    fn a_library_is_refused_with_what_it_exports() {
        let library = wasm(r#"(module (func (export "add") (result i32) i32.const 1))"#);
        assert!(refusal(&library).contains(r#"it exports "add"."#), "{}", refusal(&library));
        let with_parameter = wasm(r#"(module (func (export "_start") (param i32)))"#);
        assert!(refusal(&with_parameter).contains("no function `_start`"));
        assert!(refusal(&wasm("(module)")).contains("it exports nothing"));
    }

    #[test]
    fn a_component_with_another_export_is_refused() {
        let other = wasm(
            r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#,
        );
        assert!(refusal(&other).contains("wasi:http/incoming-handler@0.2.0"));
        let function = wasm(
            r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
               (func $f (canon lift (core func $i "f"))) (export "run" (func $f)))"#,
        );
        assert!(refusal(&function).contains(r#"it exports "run""#));
    }

    #[test]
    fn features_that_are_off_are_refused() {
        let shared = wasm(r#"(module (memory 1 1 shared) (func (export "_start")))"#);
        assert!(refusal(&shared).contains("not valid"), "{}", refusal(&shared));
        let ill_typed = wasm(r#"(module (global i32 (i64.const 1)) (func (export "_start")))"#);
        assert!(refusal(&ill_typed).contains("at byte"));
    }

    #[test]
    fn bodies_are_left_to_the_compiler() {
        let ill_typed = wasm(r#"(module (func (export "_start") i32.const 1))"#);
        assert_eq!(inspect(&ill_typed), Ok(Form::Command));
    }

    #[test]
    fn forms_survive_their_text_form() {
        for form in Form::ALL {
            assert_eq!(form.as_str().parse(), Ok(form));
            assert_eq!(serde_json::to_value(form).unwrap(), form.as_str());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = inspect(&bytes);
        }

        #[test]
        fn no_change_to_a_module_makes_it_panic(
            which in 0_usize..3,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            keep in any::<prop::sample::Index>(),
        ) {
            let mut bytes = wasm([COMMAND, COMMAND_COMPONENT, COMPONENT][which]);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = inspect(&bytes);
            let _ = inspect(&bytes[..keep.index(bytes.len())]);
        }
    }
}
