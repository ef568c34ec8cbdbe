//! The host's side of `signing`: a guest hands over data and gets its signature, and never sees
//! the key.
//!
//! Owns the passage and its bound. Which secrets sign, and how, is decided behind the closure.

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList, WasmStr};

use super::state::State;

/// The interface that analyses import to sign.
pub(super) const SIGNING: &str = "runner:analysis/signing@1.1.0";

/// The most bytes that are signed at once.
const MAX_DATA: usize = 1 << 20;

/// The longest name of a key or an algorithm that is looked at, in bytes; none is as long.
const MAX_NAME: usize = 1 << 10;

/// Signs for one guest: the secret's key, the algorithm, the data. The error is for the analysis's
/// author.
pub type Sign = Arc<dyn Fn(&str, &str, &[u8]) -> Result<Vec<u8>, String> + Send + Sync>;

/// What one call answers.
type Signature = Result<Vec<u8>, String>;

/// Gives analyses their signing.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(SIGNING)?.func_wrap(
        "hmac",
        |store: StoreContextMut<'_, State>,
         (name, algorithm, data): (WasmStr, WasmStr, WasmList<u8>)| {
            let signature: Signature = match &store.data().sign {
                None => Err("this run may sign with no secret".into()),
                Some(_) if data.len() > MAX_DATA => Err(format!(
                    "{} bytes are too many to sign at once; at most {MAX_DATA} are signed, so \
                     sign a digest of more",
                    data.len()
                )),
                Some(sign) => {
                    let (name, algorithm) = (name.to_str(&store)?, algorithm.to_str(&store)?);
                    // A refusal repeats them.
                    match name.len().max(algorithm.len()) {
                        0..=MAX_NAME => sign(&name, &algorithm, data.as_le_slice(&store)),
                        _ => Err(format!("names of more than {MAX_NAME} bytes sign nothing")),
                    }
                }
            };
            Ok((signature,))
        },
    )
}
