// node:crypto: digests, HMAC and random numbers.

import host from "runner:host";
import { Buffer } from "runner:buffer";
import { bytesOf, isBufferSource, joined } from "runner:buffer-source";
import * as web from "runner:crypto";

const HASHES = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

function input(data, encoding) {
  if (typeof data === "string") return Buffer.from(data, encoding);
  if (isBufferSource(data)) return bytesOf(data).slice();
  throw new TypeError("data is text, a Buffer or another array of bytes");
}

/** What createHash and createHmac return. */
class Digest {
  #parts = [];
  #finish;
  constructor(algorithm, finish) {
    const name = String(algorithm).toLowerCase().replace("-", "");
    if (!HASHES.includes(name)) throw new Error(`there is no digest ${algorithm} here; there are ${HASHES.join(", ")}`);
    this.#finish = (bytes) => finish(name, bytes);
  }
  update(data, encoding) {
    if (this.#parts === null) throw new Error("Digest already called");
    this.#parts.push(input(data, encoding));
    return this;
  }
  digest(encoding) {
    if (this.#parts === null) throw new Error("Digest already called");
    const bytes = joined([...this.#parts, new Uint8Array(0)]);
    this.#parts = null;
    const made = Buffer.from(this.#finish(new Uint8Array(bytes)).buffer);
    return encoding === undefined || encoding === "buffer" ? made : made.toString(encoding);
  }
}

export function createHash(algorithm) {
  return new Digest(algorithm, (name, bytes) => host.digest(name, bytes));
}

export function createHmac(algorithm, key) {
  const secret = new Uint8Array(input(key));
  return new Digest(algorithm, (name, bytes) => host.hmac(name, secret, bytes));
}

export function hash(algorithm, data, encoding = "hex") {
  return createHash(algorithm).update(data).digest(encoding);
}

export function randomBytes(size, callback) {
  const bytes = Buffer.alloc(size);
  host.randomFill(new Uint8Array(bytes.buffer));
  if (callback === undefined) return bytes;
  setImmediate(callback, null, bytes);
  return undefined;
}

export function randomFillSync(array, offset = 0, size = array.byteLength - offset) {
  host.randomFill(bytesOf(array).subarray(offset, offset + size));
  return array;
}

export function randomInt(low, high) {
  if (high === undefined) [low, high] = [0, low];
  const span = high - low;
  if (!Number.isSafeInteger(span) || span <= 0 || span > 2 ** 48) throw new RangeError("the range is empty or too wide");
  const most = 2 ** 48 - (2 ** 48 % span);
  for (;;) {
    const number = randomBytes(6).readUIntBE(0, 6);
    // What is left over would make some numbers likelier than others.
    if (number < most) return low + (number % span);
  }
}

export function timingSafeEqual(a, b) {
  if (a.byteLength !== b.byteLength) throw new RangeError("Input buffers must have the same byte length");
  return web.same(bytesOf(a), bytesOf(b));
}

export const getHashes = () => [...HASHES];
export const { randomUUID, getRandomValues, crypto: webcrypto } = web;
export const { subtle } = web;

export default {
  createHash, createHmac, getHashes, getRandomValues, hash, randomBytes, randomFillSync, randomInt, randomUUID, subtle,
  timingSafeEqual, webcrypto,
};
