//! Text as bytes, and bytes as text.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use rquickjs::{Array, Ctx, Function, Object, TypedArray};

use crate::bytes::{self, Text};

/// Adds these functions to those of the host.
pub fn install(host: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = host.ctx();
    host.set("encodeUtf8", Function::new(ctx.clone(), encode_utf8)?)?;
    host.set("decodeUtf8", Function::new(ctx.clone(), decode_utf8)?)?;
    host.set("encodeBase64", Function::new(ctx.clone(), encode_base64)?)?;
    host.set("encodeHex", Function::new(ctx.clone(), encode_hex)?)
}

fn encode_utf8<'js>(ctx: Ctx<'js>, text: Text) -> rquickjs::Result<TypedArray<'js, u8>> {
    bytes::array(&ctx, text.0.as_bytes())
}

/// The text, how many bytes at the end are the beginning of a character, and whether other bytes
/// were no UTF-8 and became U+FFFD.
fn decode_utf8<'js>(ctx: Ctx<'js>, data: TypedArray<'js, u8>) -> rquickjs::Result<Array<'js>> {
    let data = bytes::of(&data);
    // What is cut short only by the end of the data may go on in the next.
    let open = data.utf8_chunks().last().map_or(0, |chunk| match chunk.invalid() {
        rest if unfinished(rest) => rest.len(),
        _ => 0,
    });
    let whole = &data[..data.len() - open];
    let text = String::from_utf8_lossy(whole);
    let array = Array::new(ctx)?;
    array.set(0, text.as_ref())?;
    array.set(1, open as u32)?;
    array.set(2, std::str::from_utf8(whole).is_err())?;
    Ok(array)
}

/// Whether bytes are the beginning of a character that more bytes could complete.
fn unfinished(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

fn encode_base64(data: TypedArray<'_, u8>, url: bool) -> String {
    let data = bytes::of(&data);
    if url { GeneralPurpose::new(&URL_SAFE, NO_PAD).encode(data) } else { STANDARD.encode(data) }
}

fn encode_hex(data: TypedArray<'_, u8>) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes::of(&data).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
