//! What the engine calls in the prelude: `../prelude/main.js` exports it.

use rquickjs::{Coerced, Ctx, Function, IntoJs, Object, Persistent, Promise, TypedArray, Value};

/// The exports of the prelude.
pub struct Hooks<'js>(Object<'js>);

impl<'js> Hooks<'js> {
    /// Takes them from the prelude's namespace.
    pub fn new(namespace: Object<'js>) -> Self {
        Self(namespace)
    }

    /// Keeps them until the run.
    pub fn save(&self, ctx: &Ctx<'js>) -> Persistent<Object<'static>> {
        Persistent::save(ctx, self.0.clone())
    }

    /// Calls the function that the script handed to `Analysis.use`, if it did: a promise of the
    /// result as JSON, or of undefined.
    pub fn begin(&self) -> rquickjs::Result<Option<Promise<'js>>> {
        self.function("begin")?.call(())
    }

    /// Fires a timer.
    pub fn fire(&self, id: u32) -> rquickjs::Result<()> {
        self.function("fire")?.call((id,))
    }

    /// The head of an answer: its headers are names and values by turns.
    pub fn head(&self, id: u32, status: u16, headers: Vec<String>) -> rquickjs::Result<()> {
        self.function("head")?.call((id, status, headers))
    }

    /// Part of an answer's body, or its end.
    pub fn chunk(&self, id: u32, bytes: Option<TypedArray<'js, u8>>) -> rquickjs::Result<()> {
        self.function("chunk")?.call((id, bytes))
    }

    /// A request failed.
    pub fn failed(&self, id: u32, why: &str) -> rquickjs::Result<()> {
        self.function("failed")?.call((id, why))
    }

    /// Offers a rejection to the script's own listeners: true if there is one.
    pub fn unhandled(&self, reason: &Value<'js>) -> rquickjs::Result<bool> {
        self.function("unhandled")?.call((reason.clone(),))
    }

    /// A value as people read it.
    pub fn inspect(&self, value: &Value<'js>) -> String {
        let inspect = |value: &Value<'js>| -> rquickjs::Result<Coerced<String>> {
            self.function("inspect")?.call((value.into_js(value.ctx())?,))
        };
        inspect(value).map_or_else(|_| "a value that cannot be shown".to_owned(), |text| text.0)
    }

    fn function(&self, name: &str) -> rquickjs::Result<Function<'js>> {
        self.0.get(name)
    }
}
