// crypto: random numbers, digests and HMAC. The rest of Web Crypto is not here.

import host from "runner:host";
import { bytesOf } from "runner:buffer-source";
import { DOMException } from "runner:event";

const MOST = 65536; // bytes that getRandomValues fills at once
const HASHES = { "SHA-1": ["sha1", 64], "SHA-256": ["sha256", 64], "SHA-384": ["sha384", 128], "SHA-512": ["sha512", 128] };
const KEY = Symbol("made by crypto.subtle");

function refuse(what) {
  return new DOMException(`${what} is not here: crypto.subtle has digest() and keys for HMAC`, "NotSupportedError");
}

/** The engine's name of a digest, and how long keys of its HMAC are made. */
function hashOf(algorithm) {
  const name = String(typeof algorithm === "object" ? algorithm?.name : algorithm).toUpperCase();
  const hash = HASHES[name];
  if (hash === undefined) throw refuse(`the digest ${name}`);
  return { name, engine: hash[0], block: hash[1] };
}

function onlyHmac(algorithm) {
  const name = String(typeof algorithm === "object" ? algorithm?.name : algorithm).toUpperCase();
  if (name !== "HMAC") throw refuse(name);
}

export class CryptoKey {
  #bytes;
  #hash;
  #extractable;
  #usages;
  constructor(key, bytes, hash, extractable, usages) {
    if (key !== KEY) throw new TypeError("a CryptoKey comes from crypto.subtle");
    this.#bytes = bytes;
    this.#hash = hash;
    this.#extractable = Boolean(extractable);
    this.#usages = [...usages];
  }
  get type() {
    return "secret";
  }
  get extractable() {
    return this.#extractable;
  }
  get usages() {
    return [...this.#usages];
  }
  get algorithm() {
    return { name: "HMAC", hash: { name: this.#hash.name }, length: this.#bytes.length * 8 };
  }
  static _open(key, usage) {
    if (!(key instanceof CryptoKey)) throw new TypeError("a CryptoKey is needed here");
    if (usage !== undefined && !key.#usages.includes(usage)) throw new DOMException(`the key is not for ${usage}`, "InvalidAccessError");
    return { bytes: key.#bytes, hash: key.#hash };
  }
}
const open = CryptoKey._open;
delete CryptoKey._open;

const toBase64Url = (bytes) => host.encodeBase64(bytes, true);
const fromBase64Url = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));

export const subtle = {
  async digest(algorithm, data) {
    const { engine } = hashOf(algorithm);
    return host.digest(engine, bytesOf(data)).buffer;
  },
  async importKey(format, data, algorithm, extractable, usages) {
    onlyHmac(algorithm);
    const hash = hashOf(algorithm.hash);
    let bytes;
    if (format === "raw") bytes = bytesOf(data).slice();
    else if (format === "jwk" && data?.kty === "oct") bytes = fromBase64Url(data.k);
    else throw refuse(`importing a key as ${format}`);
    if (bytes.length === 0) throw new DOMException("a key for HMAC cannot be empty", "DataError");
    return new CryptoKey(KEY, bytes, hash, extractable, usages);
  },
  async exportKey(format, key) {
    const { bytes, hash } = open(key);
    if (!key.extractable) throw new DOMException("the key was made without leave to export it", "InvalidAccessError");
    if (format === "raw") return bytes.slice().buffer;
    if (format === "jwk") return { kty: "oct", k: toBase64Url(bytes), alg: `HS${hash.name.slice(4)}`, ext: true, key_ops: key.usages };
    throw refuse(`exporting a key as ${format}`);
  },
  async generateKey(algorithm, extractable, usages) {
    onlyHmac(algorithm);
    const hash = hashOf(algorithm.hash);
    const bytes = new Uint8Array(algorithm.length === undefined ? hash.block : Math.ceil(algorithm.length / 8));
    host.randomFill(bytes);
    return new CryptoKey(KEY, bytes, hash, extractable, usages);
  },
  async sign(algorithm, key, data) {
    onlyHmac(algorithm);
    const { bytes, hash } = open(key, "sign");
    return host.hmac(hash.engine, bytes, bytesOf(data)).buffer;
  },
  async verify(algorithm, key, signature, data) {
    onlyHmac(algorithm);
    const { bytes, hash } = open(key, "verify");
    return same(host.hmac(hash.engine, bytes, bytesOf(data)), bytesOf(signature));
  },
};
for (const name of ["encrypt", "decrypt", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"]) {
  subtle[name] = async () => {
    throw refuse(`${name}()`);
  };
}

/** Compares bytes in a time that depends only on how many there are. */
export function same(a, b) {
  if (a.length !== b.length) return false;
  let different = 0;
  for (let at = 0; at < a.length; at++) different |= a[at] ^ b[at];
  return different === 0;
}

export function getRandomValues(array) {
  if (!ArrayBuffer.isView(array) || array instanceof DataView || array instanceof Float32Array || array instanceof Float64Array) {
    throw new DOMException("random values fill an array of integers", "TypeMismatchError");
  }
  if (array.byteLength > MOST) throw new DOMException(`random values fill at most ${MOST} bytes at once`, "QuotaExceededError");
  host.randomFill(bytesOf(array));
  return array;
}

export function randomUUID() {
  const bytes = new Uint8Array(16);
  host.randomFill(bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = host.encodeHex(bytes);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export const crypto = { getRandomValues, randomUUID, subtle };
Object.defineProperty(crypto, Symbol.toStringTag, { value: "Crypto" });
