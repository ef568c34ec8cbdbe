//! The functions of the engine that the prelude builds the web's APIs on.

mod digest;
mod encoding;
mod machine;
mod network;
mod url;

use rquickjs::module::{Declarations, Exports, ModuleDef};
use rquickjs::{Ctx, Object};

use crate::clock;

/// The module `runner:host`. Only the prelude can import it.
pub struct Host;

impl ModuleDef for Host {
    fn declare<'js>(declarations: &Declarations<'js>) -> rquickjs::Result<()> {
        declarations.declare("default")?;
        Ok(())
    }

    fn evaluate<'js>(ctx: &Ctx<'js>, exports: &Exports<'js>) -> rquickjs::Result<()> {
        let host = Object::new(ctx.clone())?;
        clock::install(&host)?;
        digest::install(&host)?;
        encoding::install(&host)?;
        machine::install(&host)?;
        network::install(&host)?;
        url::install(&host)?;
        exports.export("default", host)?;
        Ok(())
    }
}
