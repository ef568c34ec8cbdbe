//! Requests: sent here, turned by the event loop, told to the prelude's hooks.

use rquickjs::{Ctx, Function, Object, TypedArray};

use crate::bytes::{self, Text};
use crate::request::{Outgoing, Request};
use crate::state;
use crate::touch::{self, Touch};

/// Adds these functions to those of the host.
pub fn install(host: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = host.ctx();
    host.set("send", Function::new(ctx.clone(), send)?)?;
    let pull = |id: u32| {
        state::with(|state| {
            let request = state.requests.iter_mut().find(|request| request.id == id);
            request.map(Request::want).is_some()
        })
    };
    host.set("pull", Function::new(ctx.clone(), pull)?)?;
    // Taken out first: a request that is dropped calls the host.
    let cancel = |id: u32| {
        let dropped = state::with(|state| {
            let at = state.requests.iter().position(|request| request.id == id)?;
            Some(state.requests.swap_remove(at))
        });
        drop(dropped);
    };
    host.set("cancel", Function::new(ctx.clone(), cancel)?)
}

/// Sends a request: nothing, or why it cannot be sent. `target` is the method, the scheme, the
/// authority and the path.
fn send<'js>(
    ctx: Ctx<'js>,
    id: u32,
    target: Vec<Text>,
    headers: Vec<Text>,
    body: Option<TypedArray<'js, u8>>,
) -> rquickjs::Result<Option<String>> {
    touch::stop(&ctx, Touch::Network)?;
    let mut target = target.into_iter().map(|text| text.0);
    let mut next = || target.next().unwrap_or_default();
    let outgoing = Outgoing {
        method: next(),
        https: next() == "https:",
        authority: next(),
        path: next(),
        headers: headers.into_iter().map(|text| text.0).collect(),
        body: body.map(|array| bytes::of(&array).to_vec()),
    };
    match Request::send(id, outgoing) {
        Ok(request) => {
            state::with(|state| state.requests.push(request));
            Ok(None)
        }
        Err(why) => Ok(Some(why)),
    }
}
