//! A global object with everything a script finds there, and the script's module in it.

use std::cell::Cell;
use std::ptr::NonNull;

use rquickjs::{
    CatchResultExt, Context, Ctx, Module, Object, Persistent, Promise, Runtime, Value, qjs,
};

use crate::builtins::{self, Builtins};
use crate::failure::{self, Failure};
use crate::hooks::Hooks;
use crate::{memory, state, touch};

/// What runs add to the heap before the first search for cycles, in bytes. Most end before it.
const ALLOWANCE: usize = 8 << 20;

thread_local! {
    static CURRENT: Cell<Option<NonNull<qjs::JSContext>>> = const { Cell::new(None) };
}

/// The context of the realm that exists now.
pub fn current<'js>() -> Option<Ctx<'js>> {
    // SAFETY: the pointer is taken back when its realm is dropped, and there is one thread.
    CURRENT.get().map(|ctx| unsafe { Ctx::from_raw(ctx) })
}

/// A realm. There is at most one at a time.
pub struct Realm {
    hooks: Persistent<Object<'static>>,
    /// The script's module, compiled. It lives as long as the context.
    module: Option<qjs::JSValue>,
    context: Context,
}

impl Realm {
    /// Makes one, with the prelude.
    pub fn new(builtins: Builtins) -> Result<Self, Failure> {
        let open = || -> rquickjs::Result<Context> {
            let runtime = Runtime::new_with_alloc(memory::Script)?;
            runtime.set_max_stack_size(memory::STACK);
            runtime.set_loader(builtins.clone(), builtins);
            runtime.set_host_promise_rejection_tracker(Some(Box::new(
                |ctx, promise, reason, handled| state::rejection(&ctx, &promise, reason, handled),
            )));
            Context::full(&runtime)
        };
        let context = open().map_err(|error| Failure::new(error.to_string()))?;
        CURRENT.set(Some(context.as_raw()));
        let hooks = context.with(|ctx| {
            let import = || -> rquickjs::Result<Object<'_>> {
                Module::import(&ctx, builtins::PRELUDE)?.finish::<Object<'_>>()
            };
            import()
                .catch(&ctx)
                .map(|space| Hooks::new(space).save(&ctx))
                .map_err(|e| failure::of(&e))
        })?;
        Ok(Self { hooks, module: None, context })
    }

    /// Gives access to the realm and its hooks.
    pub fn with<T>(
        &self,
        what: impl for<'js> FnOnce(&Ctx<'js>, &Hooks<'js>) -> T,
    ) -> Result<T, Failure> {
        self.context.with(|ctx| {
            let hooks = self.hooks.clone().restore(&ctx);
            let hooks = hooks.map_err(|error| Failure::new(error.to_string()))?;
            Ok(what(&ctx, &Hooks::new(hooks)))
        })
    }

    /// Takes in the script's bytecode, and the built-in modules that it imports.
    pub fn load(&mut self, bytecode: &[u8]) -> Result<(), Failure> {
        let loaded = self.with(|ctx, hooks| {
            let raw = ctx.as_raw().as_ptr();
            let flags = qjs::JS_READ_OBJ_BYTECODE as i32;
            // SAFETY: the bytes are our own compiler's, and the value is checked before its use.
            unsafe {
                let module = qjs::JS_ReadObject(raw, bytecode.as_ptr(), bytecode.len() as _, flags);
                if qjs::JS_IsException(module) || qjs::JS_ResolveModule(raw, module) < 0 {
                    return Err(failure::pending(ctx, hooks));
                }
                Ok(module)
            }
        })??;
        self.module = Some(loaded);
        Ok(())
    }

    /// Evaluates built-in modules, so that no run has to.
    pub fn preload(&self, names: &[&'static str]) -> Result<(), Failure> {
        self.with(|ctx, hooks| {
            let import = |name: &&str| Module::import(ctx, *name)?.finish::<Value<'_>>();
            names
                .iter()
                .try_for_each(|name| import(name).map(drop))
                .map_err(|_| failure::pending(ctx, hooks))
        })?
    }

    /// Begins the script's top level: a promise of its end.
    pub fn evaluate<'js>(
        &self,
        ctx: &Ctx<'js>,
        hooks: &Hooks<'js>,
    ) -> Result<Option<Promise<'js>>, Failure> {
        let Some(module) = self.module else { return Ok(None) };
        // SAFETY: the module is alive, and evaluating it takes one reference.
        let value = unsafe {
            let raw = ctx.as_raw().as_ptr();
            let value = qjs::JS_EvalFunction(raw, qjs::JS_DupValue(raw, module));
            if qjs::JS_IsException(value) {
                return Err(failure::pending(ctx, hooks));
            }
            Value::from_raw(ctx.clone(), value)
        };
        Ok(value.into_promise())
    }

    /// Says that the top level has run, and that there is nothing left to evaluate.
    pub fn evaluated(&mut self) {
        self.module = None;
    }

    /// Watches over an evaluation, or no longer.
    pub fn watch(&self, on: bool) {
        let handler: fn() -> bool = touch::interrupt;
        self.context.runtime().set_interrupt_handler(on.then(|| Box::new(handler) as Box<_>));
    }

    /// Leaves the heap as small as it gets, for the snapshot.
    pub fn settle(&self) {
        let runtime = self.context.runtime();
        runtime.run_gc();
        let used = usize::try_from(runtime.memory_usage().malloc_size).unwrap_or(0);
        runtime.set_gc_threshold(used + ALLOWANCE);
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}
