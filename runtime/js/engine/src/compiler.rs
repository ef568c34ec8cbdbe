//! Turns sources into bytecode.

use rquickjs::loader::{ImportAttributes, Loader};
use rquickjs::module::Declared;
use rquickjs::{CatchResultExt, Context, Ctx, Module, Runtime, WriteOptions};

use crate::builtins::Builtins;
use crate::failure::{self, Failure};
use crate::memory;

/// A realm of its own, so that nothing of the compiling stays in the script's.
pub struct Compiler(Context);

impl Compiler {
    /// Opens one.
    pub fn new() -> rquickjs::Result<Self> {
        let runtime = Runtime::new_with_alloc(memory::Script)?;
        runtime.set_max_stack_size(memory::STACK);
        runtime.set_loader(Builtins::default(), Empty);
        Context::full(&runtime).map(Compiler)
    }

    /// Compiles one module, without its source: that would be kept once for each function.
    /// `places` says whether errors can tell where in it they happened.
    pub fn compile(&self, name: &str, source: &str, places: bool) -> Result<Vec<u8>, Failure> {
        self.0.with(|ctx| {
            let options = WriteOptions {
                strip_source: true,
                strip_debug: !places,
                ..WriteOptions::default()
            };
            Module::declare(ctx.clone(), name, source)
                .and_then(|module| module.write(options))
                .catch(&ctx)
                .map_err(|error| failure::of(&error))
        })
    }
}

/// Stands for every module that is imported: QuickJS looks for them while it compiles, but does
/// not look into them.
struct Empty;

impl Loader for Empty {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        Module::declare(ctx.clone(), name, "")
    }
}
