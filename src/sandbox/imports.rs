//! Which imports of a module the runner does not give, each by its name.

use std::fmt;

use wasmtime::component::{self, Component, types::ComponentItem};
use wasmtime::{Linker, Module, Store};

use super::guest;
use super::http;
use super::signing;
use super::state::State;

/// How many imports a message names.
const SHOWN: usize = 10;

/// The interfaces of WASI 0.2 that components find here.
const WASI: [(&str, &[&str]); 7] = [
    (
        "cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("clocks", &["monotonic-clock", "wall-clock"]),
    ("filesystem", &["types", "preopens"]),
    ("http", &["outgoing-handler", "types"]),
    ("io", &["error", "poll", "streams"]),
    ("random", &["random", "insecure", "insecure-seed"]),
    (
        "sockets",
        &[
            "network",
            "instance-network",
            "ip-name-lookup",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
];

/// The imports of a module that the runner does not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownImports(Vec<String>);

impl UnknownImports {
    /// Their names: `module::name` for a core module, the interface for a component.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Those of a core module, if there are any.
    pub(super) fn of_module(
        module: &Module,
        linker: &Linker<State>,
        store: &mut Store<State>,
    ) -> Option<Self> {
        let mut names = Vec::new();
        for import in module.imports() {
            if linker.get_by_import(&mut *store, &import).is_none() {
                names.push(format!("{}::{}", import.module(), import.name()));
            }
        }
        Self::new(names)
    }

    /// Those of a component, if there are any.
    pub(super) fn of_component(component: &Component) -> Option<Self> {
        let engine = component.engine();
        let needs_code = |item: &ComponentItem| match item {
            ComponentItem::ComponentInstance(instance) => instance
                .exports(engine)
                .any(|(_, export)| !matches!(export.ty, ComponentItem::Type(_))),
            ComponentItem::Type(_) => false,
            _ => true,
        };
        let ty = component.component_type();
        let unknown =
            ty.imports(engine).filter(|(name, item)| !is_given(name) && needs_code(&item.ty));
        Self::new(unknown.map(|(name, _)| name.to_owned()).collect())
    }

    fn new(mut names: Vec<String>) -> Option<Self> {
        names.sort();
        names.dedup();
        (!names.is_empty()).then_some(Self(names))
    }
}

fn is_given(name: &str) -> bool {
    if name == guest::CONSOLE || name == signing::SIGNING {
        return true;
    }
    let wasi = || {
        let (package, rest) = name.strip_prefix("wasi:")?.split_once('/')?;
        let (interface, version) = rest.split_once('@')?;
        let (_, interfaces) = WASI.iter().find(|(given, _)| *given == package)?;
        Some(version.starts_with("0.2.") && interfaces.contains(&interface))
    };
    wasi().unwrap_or(false)
}

/// What to do about an import, as far as its name tells.
fn advice(name: &str) -> Option<&'static str> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if starts(&["wasi:http/"]) {
        Some("of wasi:http, an analysis has outgoing requests in version 0.2")
    } else if starts(&["wasi:"]) && name.contains("@0.3") {
        Some("build for WASI 0.2")
    } else if starts(&["wasi_unstable::", "wasi::"]) {
        Some("rebuild for wasm32-wasip1 with a current toolchain")
    } else if starts(&["__wbindgen", "wbg::", "./"]) {
        Some("wasm-bindgen builds for browsers; build for wasm32-wasip1 or wasm32-wasip2")
    } else if starts(&["gojs::", "go::"]) {
        Some("build with GOOS=wasip1 GOARCH=wasm")
    } else if starts(&["env::"]) {
        Some("functions of `env` come from a host of your own; build for WASI")
    } else if starts(&["runner:analysis/"]) {
        Some("this runner knows versions 1.0.0 and 1.1.0 of runner:analysis")
    } else {
        None
    }
}

impl fmt::Display for UnknownImports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the module imports what the runner does not give: ")?;
        for (i, name) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}`{name:.200}`")?;
        }
        if let more @ 1.. = self.0.len().saturating_sub(SHOWN) {
            write!(f, " and {more} more")?;
        }
        let mut said = Vec::new();
        for advice in self.0.iter().filter_map(|name| advice(name)) {
            if !said.contains(&advice) {
                write!(f, "; {advice}")?;
                said.push(advice);
            }
        }
        if said.is_empty() {
            f.write_str("; build it so that it needs only WASI and runner:analysis")?;
        }
        Ok(())
    }
}

/// Everything that components may import, ready to be linked.
pub(super) fn component_linker(
    engine: &wasmtime::Engine,
) -> wasmtime::Result<component::Linker<State>> {
    let mut linker = component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    guest::add_console(&mut linker)?;
    signing::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Everything that core modules may import, ready to be linked.
pub(super) fn core_linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, State::wasi)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One member of each interface.
    const MEMBERS: &[(&str, &str)] = &[
        ("cli/environment", "get-environment"),
        ("cli/exit", "exit"),
        ("cli/stdin", "get-stdin"),
        ("cli/stdout", "get-stdout"),
        ("cli/stderr", "get-stderr"),
        ("cli/terminal-input", "terminal-input"),
        ("cli/terminal-output", "terminal-output"),
        ("cli/terminal-stdin", "get-terminal-stdin"),
        ("cli/terminal-stdout", "get-terminal-stdout"),
        ("cli/terminal-stderr", "get-terminal-stderr"),
        ("clocks/monotonic-clock", "now"),
        ("clocks/wall-clock", "now"),
        ("filesystem/types", "descriptor"),
        ("filesystem/preopens", "get-directories"),
        ("http/outgoing-handler", "handle"),
        ("http/types", "fields"),
        ("io/error", "error"),
        ("io/poll", "poll"),
        ("io/streams", "input-stream"),
        ("random/random", "get-random-u64"),
        ("random/insecure", "get-insecure-random-u64"),
        ("random/insecure-seed", "insecure-seed"),
        ("sockets/network", "network"),
        ("sockets/instance-network", "instance-network"),
        ("sockets/ip-name-lookup", "resolve-addresses"),
        ("sockets/tcp", "tcp-socket"),
        ("sockets/tcp-create-socket", "create-tcp-socket"),
        ("sockets/udp", "udp-socket"),
        ("sockets/udp-create-socket", "create-udp-socket"),
    ];

    #[test]
    fn every_interface_that_is_said_to_be_given_is_in_the_linker() {
        let engine = super::super::engine::compiling().unwrap();
        let mut linker = component_linker(&engine).unwrap();
        // What is there already cannot be defined a second time.
        let mut is_linked = |interface: &str, member: &str| {
            linker.instance(interface).unwrap().func_wrap(member, |_, ()| Ok(())).is_err()
        };
        for (interface, member) in MEMBERS {
            let name = format!("wasi:{interface}@0.2.12");
            assert!(is_given(&name) && is_linked(&name, member), "{name}");
        }
        assert!(is_linked(guest::CONSOLE, "log") && is_given(guest::CONSOLE));
        assert!(is_linked(signing::SIGNING, "hmac") && is_given(signing::SIGNING));
        assert!(!is_linked("wasi:http/incoming-handler@0.2.12", "handle"));
        let listed: usize = WASI.iter().map(|(_, interfaces)| interfaces.len()).sum();
        assert_eq!(MEMBERS.len(), listed);
        for other in
            ["wasi:http/incoming-handler@0.2.12", "wasi:cli/exit@0.3.0", "wasi:cli/exit", "exit"]
        {
            assert!(!is_given(other), "{other}");
        }
    }

    #[test]
    fn messages_say_what_to_do() {
        let message = |names: &[&str]| {
            UnknownImports::new(names.iter().map(|&name| name.into()).collect())
                .unwrap()
                .to_string()
        };
        assert!(message(&["env::a", "env::b"]).ends_with(
            "`env::b`; functions of `env` come from a host of your own; build for WASI"
        ));
        assert!(message(&["wasi:http/types@0.3.0"]).contains("outgoing requests in version 0.2"));
        assert!(message(&["other::x"]).contains("only WASI"));
        let many: Vec<_> = (0..15).map(|i| format!("x::{i:02}")).collect();
        let many = UnknownImports::new(many).unwrap();
        assert!(many.to_string().contains("`x::09` and 5 more"));
        assert_eq!(UnknownImports::new(Vec::new()), None);
    }
}
