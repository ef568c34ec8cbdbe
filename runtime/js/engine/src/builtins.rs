//! The modules that are built in: the prelude, our SDK, and what there is of Node's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::{Ctx, Exception, Module};

use crate::compiler::Compiler;
use crate::failure::Failure;
use crate::{host, state};

/// The module whose evaluation makes a realm what it is.
pub const PRELUDE: &str = "runner:main";

/// Names that only built-in modules can import begin with it.
const INTERNAL: &str = "runner:";

/// The functions of the engine, as a module.
const HOST: &str = "runner:host";

macro_rules! sources {
    ($($name:literal $file:literal)*) => {
        &[$(($name, include_str!(concat!("../../prelude/", $file, ".js")))),*]
    };
}

/// Each module with its source.
const SOURCES: &[(&str, &str)] = sources! {
    "runner:main" "main"
    "runner:abort" "abort"
    "runner:blob" "blob"
    "runner:body" "body"
    "runner:buffer" "buffer"
    "runner:buffer-source" "buffer-source"
    "runner:clone" "clone"
    "runner:console" "console"
    "runner:context" "context"
    "runner:crypto" "crypto"
    "runner:encoding" "encoding"
    "runner:environment" "environment"
    "runner:event" "event"
    "runner:fetch" "fetch"
    "runner:form" "form"
    "runner:headers" "headers"
    "runner:inspect" "inspect"
    "runner:performance" "performance"
    "runner:process" "process"
    "runner:request" "request"
    "runner:response" "response"
    "runner:stream" "stream"
    "runner:timers" "timers"
    "runner:url" "url"
    "runner:api" "sdk/api"
    "runner:resources" "sdk/resources"
    "runner" "sdk/main"
    "node:assert" "node/assert"
    "node:buffer" "node/buffer"
    "node:crypto" "node/crypto"
    "node:events" "node/events"
    "node:path" "node/path"
    "node:process" "node/process"
    "node:querystring" "node/querystring"
    "node:timers" "node/timers"
    "node:timers/promises" "node/timers-promises"
    "node:url" "node/url"
    "node:util" "node/util"
};

/// What to do instead, for modules of Node that a sandbox cannot have.
fn instead(name: &str) -> Option<&'static str> {
    Some(match name {
        "fs" | "fs/promises" | "readline" | "readline/promises" => {
            "an analysis has no files; take data from its scope, its environment or fetch()"
        }
        "http" | "https" | "http2" => "use fetch()",
        "net" | "tls" | "dgram" | "dns" | "dns/promises" => {
            "there are no sockets; use fetch(), for hosts that a policy allows"
        }
        "child_process" | "cluster" | "worker_threads" => {
            "an analysis is one process; start another analysis with Resources.analysis.run()"
        }
        "stream" | "stream/promises" | "stream/web" | "string_decoder" | "util/types" | "zlib"
        | "punycode" => {
            "bundle a package from npm that does it in JavaScript"
        }
        "os"
        | "tty"
        | "repl"
        | "inspector"
        | "perf_hooks"
        | "v8"
        | "vm"
        | "module"
        | "domain"
        | "async_hooks"
        | "diagnostics_channel"
        | "trace_events"
        | "wasi"
        | "sea"
        | "sqlite"
        | "test"
        | "constants"
        | "sys" => "nothing of the machine it would tell about is visible",
        _ => return None,
    })
}

/// Finds built-in modules, and says why there are no others.
#[derive(Clone, Default)]
pub struct Builtins(Rc<RefCell<Compiled>>);

/// The bytecode of modules, by their names.
type Compiled = BTreeMap<&'static str, Rc<[u8]>>;

impl Builtins {
    /// Compiles all of them, for the realms that are made until the snapshot is.
    pub fn compiled(compiler: &Compiler) -> Result<Self, Failure> {
        let one = |(name, source): &(&'static str, &str)| {
            compiler.compile(name, source, false).map(|bytecode| (*name, Rc::from(bytecode)))
        };
        let all = SOURCES.iter().map(one).collect::<Result<_, _>>()?;
        Ok(Self(Rc::new(RefCell::new(all))))
    }

    /// Forgets what was compiled. What a run asks for later is compiled then.
    pub fn finish(&self) {
        self.0.borrow_mut().clear();
    }
}

/// The name of a built-in module, by any name that scripts use for it.
fn canonical(name: &str) -> Option<&'static str> {
    let known = |name: &str| SOURCES.iter().map(|(known, _)| *known).find(|known| *known == name);
    // Deno's way to name a package, with its version or without.
    if let Some(package) = name.strip_prefix("npm:@tago-io/sdk") {
        return (package.is_empty() || package.starts_with('@')).then_some("runner");
    }
    match name {
        "@tago-io/sdk" => Some("runner"),
        "assert/strict" | "node:assert/strict" => Some("node:assert"),
        _ => known(name).or_else(|| known(&format!("node:{name}"))),
    }
}

/// The module that a script means, or an error that says what to do instead.
pub fn find(ctx: &Ctx<'_>, name: &str) -> rquickjs::Result<&'static str> {
    if let Some(found) = canonical(name).filter(|found| !found.starts_with(INTERNAL)) {
        return Ok(found);
    }
    let plain = name.strip_prefix("node:").unwrap_or(name);
    let why = match instead(plain) {
        Some(instead) => format!("there is no module node:{plain} in a sandbox: {instead}"),
        None if name.starts_with("node:") => format!("there is no module {name} in a sandbox"),
        None => format!(
            "there is no module \"{name}\" here: packages and other files are bundled into the script \
             when it is built, with a package.json beside it"
        ),
    };
    Err(Exception::throw_message(ctx, &why))
}

impl Resolver for Builtins {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<String> {
        // What the prelude imports is ours, and what the engine imports comes from no module.
        let ours = base.is_empty() || canonical(base).is_some();
        if ours && name.starts_with(INTERNAL) {
            return Ok(name.to_owned());
        }
        find(ctx, name).map(str::to_owned)
    }
}

impl Loader for Builtins {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        if name == HOST {
            return Module::declare_def::<host::Host, _>(ctx.clone(), name);
        }
        let Some((name, source)) = SOURCES.iter().find(|(known, _)| *known == name) else {
            return Err(Exception::throw_message(ctx, &format!("there is no module \"{name}\"")));
        };
        if !name.starts_with(INTERNAL) {
            state::with(|state| state.loaded.push(name));
        }
        // Nothing stays borrowed: a module that is loaded loads those that it imports.
        let compiled = self.0.borrow().get(name).cloned();
        match compiled {
            // SAFETY: the bytes are our own compiler's.
            Some(bytecode) => unsafe { Module::load(ctx.clone(), &bytecode) },
            None => Module::declare(ctx.clone(), *name, *source),
        }
    }
}
