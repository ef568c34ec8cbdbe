//! Text and bytes on their way between JavaScript and Rust.

use rquickjs::{Ctx, FromJs, TypedArray, Value, qjs};

/// A string of JavaScript. Half of a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD.
pub struct Text(pub String);

impl<'js> FromJs<'js> for Text {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Self> {
        let mut length = 0;
        // SAFETY: the pointer that comes back is of that many bytes and freed once, below.
        unsafe {
            let ctx = ctx.as_raw().as_ptr();
            let at = qjs::JS_ToCStringLen(ctx, &raw mut length, value.as_raw());
            if at.is_null() {
                return Err(rquickjs::Error::Exception);
            }
            let bytes = std::slice::from_raw_parts(at.cast::<u8>(), length);
            let text = match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => replace_halves(bytes),
            };
            qjs::JS_FreeCString(ctx, at);
            Ok(Text(text))
        }
    }
}

/// QuickJS writes half of a surrogate pair as the three bytes that its number would have.
fn replace_halves(bytes: &[u8]) -> String {
    let mut whole = bytes.to_vec();
    for at in 0..whole.len().saturating_sub(2) {
        if whole[at] == 0xed && whole[at + 1] >= 0xa0 {
            whole[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
        }
    }
    String::from_utf8_lossy(&whole).into_owned()
}

/// What an array of bytes holds, for as long as no JavaScript runs.
pub fn of<'a>(array: &'a TypedArray<'_, u8>) -> &'a [u8] {
    // SAFETY: nothing runs between here and the last use that could free or resize the buffer.
    unsafe { array.as_bytes() }.unwrap_or_default()
}

/// A copy of bytes for JavaScript.
pub fn array<'js>(ctx: &Ctx<'js>, bytes: &[u8]) -> rquickjs::Result<TypedArray<'js, u8>> {
    TypedArray::new_copy(ctx.clone(), bytes)
}
