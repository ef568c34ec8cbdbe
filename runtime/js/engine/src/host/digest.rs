//! Digests and message authentication codes.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rquickjs::{Ctx, Exception, Function, Object, TypedArray};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::bytes::{self, Text};

/// Adds these functions to those of the host.
pub fn install(host: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = host.ctx();
    host.set("digest", Function::new(ctx.clone(), digest)?)?;
    host.set("hmac", Function::new(ctx.clone(), hmac)?)
}

fn unknown(ctx: &Ctx<'_>, algorithm: &str) -> rquickjs::Error {
    Exception::throw_type(
        ctx,
        &format!(
            "there is no digest {algorithm:?}; there are md5, sha1, sha224, sha256, sha384 and sha512"
        ),
    )
}

fn digest<'js>(
    ctx: Ctx<'js>,
    algorithm: Text,
    data: TypedArray<'js, u8>,
) -> rquickjs::Result<TypedArray<'js, u8>> {
    let data = bytes::of(&data);
    let digest = match algorithm.0.as_str() {
        "md5" => Md5::digest(data).to_vec(),
        "sha1" => Sha1::digest(data).to_vec(),
        "sha224" => Sha224::digest(data).to_vec(),
        "sha256" => Sha256::digest(data).to_vec(),
        "sha384" => Sha384::digest(data).to_vec(),
        "sha512" => Sha512::digest(data).to_vec(),
        other => return Err(unknown(&ctx, other)),
    };
    bytes::array(&ctx, &digest)
}

fn hmac<'js>(
    ctx: Ctx<'js>,
    algorithm: Text,
    key: TypedArray<'js, u8>,
    data: TypedArray<'js, u8>,
) -> rquickjs::Result<TypedArray<'js, u8>> {
    fn code<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
        let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
        mac.update(data);
        Some(mac.finalize().into_bytes().to_vec())
    }
    let (key, data) = (bytes::of(&key), bytes::of(&data));
    let code = match algorithm.0.as_str() {
        "md5" => code::<Hmac<Md5>>(key, data),
        "sha1" => code::<Hmac<Sha1>>(key, data),
        "sha224" => code::<Hmac<Sha224>>(key, data),
        "sha256" => code::<Hmac<Sha256>>(key, data),
        "sha384" => code::<Hmac<Sha384>>(key, data),
        "sha512" => code::<Hmac<Sha512>>(key, data),
        other => return Err(unknown(&ctx, other)),
    };
    // A key of any length will do.
    bytes::array(&ctx, &code.unwrap_or_default())
}
