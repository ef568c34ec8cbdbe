// Buffer: bytes in the ways of Node, as payload parsers use them.

import host from "runner:host";
import { bytesOf } from "runner:buffer-source";
import { custom } from "runner:inspect";

const ENCODINGS = {
  utf8: "utf8", "utf-8": "utf8", hex: "hex", base64: "base64", base64url: "base64url", latin1: "latin1", binary: "latin1",
  ascii: "ascii", ucs2: "utf16le", "ucs-2": "utf16le", utf16le: "utf16le", "utf-16le": "utf16le",
};

function encodingOf(encoding) {
  const name = ENCODINGS[String(encoding ?? "utf8").toLowerCase()];
  if (name === undefined) throw new TypeError(`Unknown encoding: ${encoding}`);
  return name;
}

function encode(text, encoding) {
  switch (encodingOf(encoding)) {
    case "utf8":
      return host.encodeUtf8(text);
    case "hex": {
      const bytes = new Uint8Array(text.length >> 1);
      for (let at = 0; at < bytes.length; at++) {
        const byte = text.slice(2 * at, 2 * at + 2);
        if (!/^[0-9a-fA-F]{2}$/.test(byte)) return bytes.subarray(0, at);
        bytes[at] = Number.parseInt(byte, 16);
      }
      return bytes;
    }
    case "base64":
    case "base64url": {
      const plain = text.replace(/=.*$/s, "").replaceAll("-", "+").replaceAll("_", "/").replace(/[^A-Za-z0-9+/]/g, "");
      // One letter alone is no byte yet.
      return fromBinary(atob(plain.length % 4 === 1 ? plain.slice(0, -1) : plain));
    }
    case "utf16le": {
      const bytes = new Uint8Array(text.length * 2);
      const view = new DataView(bytes.buffer);
      for (let at = 0; at < text.length; at++) view.setUint16(2 * at, text.charCodeAt(at), true);
      return bytes;
    }
    default:
      return fromBinary(text);
  }
}

function fromBinary(text) {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

function decode(bytes, encoding) {
  switch (encodingOf(encoding)) {
    case "utf8": {
      const [text, open] = host.decodeUtf8(bytes);
      return open > 0 ? `${text}\ufffd` : text;
    }
    case "hex":
      return host.encodeHex(bytes);
    case "base64":
      return host.encodeBase64(bytes, false);
    case "base64url":
      return host.encodeBase64(bytes, true);
    case "utf16le": {
      let text = "";
      for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(bytes[at] | (bytes[at + 1] << 8));
      return text;
    }
    default: {
      const mask = encodingOf(encoding) === "ascii" ? 0x7f : 0xff;
      let text = "";
      for (const byte of bytes) text += String.fromCharCode(byte & mask);
      return text;
    }
  }
}

const plain = (bytes) => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A Buffer over the same bytes. */
function wrap(bytes) {
  return new Made(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

class Made extends Uint8Array {
  toString(encoding, start = 0, end = this.length) {
    return decode(plain(this).subarray(start, end), encoding);
  }
  toJSON() {
    return { type: "Buffer", data: [...this] };
  }
  equals(other) {
    return Buffer.compare(this, other) === 0;
  }
  compare(other) {
    return Buffer.compare(this, other);
  }
  slice(start, end) {
    return this.subarray(start, end);
  }
  subarray(start, end) {
    return wrap(plain(this).subarray(start, end));
  }
  write(text, offset = 0, length = undefined, encoding = "utf8") {
    if (typeof offset === "string") [offset, encoding] = [0, offset];
    if (typeof length === "string") [length, encoding] = [undefined, length];
    const room = Math.min(length ?? Infinity, this.length - offset);
    const bytes = encode(String(text), encoding).subarray(0, room);
    this.set(bytes, offset);
    return bytes.length;
  }
  copy(target, at = 0, start = 0, end = this.length) {
    const bytes = plain(this).subarray(start, end).subarray(0, Math.max(target.length - at, 0));
    target.set(bytes, at);
    return bytes.length;
  }
  fill(value, start = 0, end = this.length, encoding = "utf8") {
    if (typeof start === "string") [start, encoding] = [0, start];
    if (typeof value === "number") return super.fill(value, start, end);
    const bytes = typeof value === "string" ? encode(value, encoding) : bytesOf(value);
    for (let at = start; at < end; at++) this[at] = bytes.length === 0 ? 0 : bytes[(at - start) % bytes.length];
    return this;
  }
  indexOf(value, from = 0, encoding = "utf8") {
    return search(this, value, from, encoding, 1);
  }
  lastIndexOf(value, from = this.length, encoding = "utf8") {
    return search(this, value, from, encoding, -1);
  }
  includes(value, from = 0, encoding = "utf8") {
    return this.indexOf(value, from, encoding) >= 0;
  }
  swap16() {
    for (let at = 0; at + 1 < this.length; at += 2) [this[at], this[at + 1]] = [this[at + 1], this[at]];
    return this;
  }
  [custom]() {
    const shown = host.encodeHex(plain(this).subarray(0, 50)).replace(/..(?!$)/g, "$& ");
    const rest = this.length > 50 ? ` ... ${this.length - 50} more byte${this.length === 51 ? "" : "s"}` : "";
    return `<Buffer${shown === "" ? "" : " "}${shown}${rest}>`;
  }
}

function search(buffer, value, from, encoding, step) {
  if (typeof value === "number") {
    return step > 0 ? plain(buffer).indexOf(value & 255, from) : plain(buffer).lastIndexOf(value & 255, from);
  }
  const wanted = typeof value === "string" ? encode(value, encoding) : bytesOf(value);
  const most = buffer.length - wanted.length;
  const first = from < 0 ? Math.max(buffer.length + from, 0) : from;
  for (let at = step > 0 ? first : Math.min(first, most); at >= 0 && at <= most; at += step) {
    if (wanted.every((byte, place) => buffer[at + place] === byte)) return at;
  }
  return -1;
}

// The numbers of a Buffer: readInt16BE, writeDoubleLE and so on, and the names without a capital I.
const NUMBERS = { Int8: 1, Uint8: 1, Int16: 2, Uint16: 2, Int32: 4, Uint32: 4, Float: 4, Double: 8, BigInt64: 8, BigUint64: 8 };

function range(buffer, offset, size) {
  if (!Number.isInteger(offset)) throw new TypeError(`an offset is a whole number, not ${offset}`);
  if (offset < 0 || offset + size > buffer.length) {
    const error = new RangeError(`the offset ${offset} is outside of the buffer, which has ${buffer.length} bytes`);
    error.code = "ERR_OUT_OF_RANGE";
    throw error;
  }
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function check(name, value, size) {
  if (name === "Float" || name === "Double") return;
  const signed = !name.includes("Uint");
  const big = name.startsWith("Big");
  const bits = big ? BigInt(size * 8) : size * 8;
  const top = big ? 2n ** (signed ? bits - 1n : bits) : 2 ** (signed ? bits - 1 : bits);
  if (value >= top || value < (signed ? -top : big ? 0n : 0)) {
    const error = new RangeError(`the value ${value} does not fit ${name}`);
    error.code = "ERR_OUT_OF_RANGE";
    throw error;
  }
}

function define(names, call) {
  for (const name of names) Object.defineProperty(Made.prototype, name, { value: call, writable: true, configurable: true });
}

for (const [name, size] of Object.entries(NUMBERS)) {
  const view = { Float: "Float32", Double: "Float64" }[name] ?? name;
  for (const order of size === 1 ? [""] : ["LE", "BE"]) {
    const names = (verb) => [...new Set([`${verb}${name}${order}`, `${verb}${name.replace("Uint", "UInt")}${order}`])];
    define(names("read"), function read(offset = 0) {
      return range(this, offset, size)[`get${view}`](offset, order === "LE");
    });
    define(names("write"), function write(value, offset = 0) {
      const into = range(this, offset, size);
      check(name, name.startsWith("Big") ? value : (value = Number(value)), size);
      into[`set${view}`](offset, value, order === "LE");
      return offset + size;
    });
  }
}
for (const order of ["LE", "BE"]) {
  const unsigned = (buffer, offset, length) => {
    range(buffer, offset, length);
    let number = 0;
    for (let at = 0; at < length; at++) number = number * 256 + buffer[order === "BE" ? offset + at : offset + length - 1 - at];
    return number;
  };
  define([`readUInt${order}`, `readUint${order}`], function read(offset, length) {
    return unsigned(this, offset, length);
  });
  define([`readInt${order}`], function read(offset, length) {
    const number = unsigned(this, offset, length);
    return number >= 2 ** (8 * length - 1) ? number - 2 ** (8 * length) : number;
  });
  define([`writeUInt${order}`, `writeUint${order}`, `writeInt${order}`], function write(value, offset, length) {
    range(this, offset, length);
    let number = value < 0 ? value + 2 ** (8 * length) : value;
    for (let at = 0; at < length; at++) {
      this[order === "LE" ? offset + at : offset + length - 1 - at] = number % 256;
      number = Math.floor(number / 256);
    }
    return offset + length;
  });
}

/** As in Node, Buffer makes only what its functions say, and `new Buffer` of old. */
export function Buffer(value, encoding, length) {
  return typeof value === "number" ? Buffer.alloc(value) : Buffer.from(value, encoding, length);
}
Buffer.prototype = Made.prototype;
Object.defineProperty(Made.prototype, "constructor", { value: Buffer, writable: true, configurable: true });
Object.setPrototypeOf(Buffer, Uint8Array);

Object.assign(Buffer, {
  poolSize: 0,
  from(value, encodingOrOffset, length) {
    if (typeof value === "string") return wrap(encode(value, encodingOrOffset));
    if (value instanceof ArrayBuffer) return new Made(value, encodingOrOffset, length);
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return wrap(Uint8Array.from(value));
    if (value?.type === "Buffer" && Array.isArray(value.data)) return wrap(Uint8Array.from(value.data));
    const inner = value?.valueOf?.();
    if (inner !== value && inner !== null && inner !== undefined) return Buffer.from(inner, encodingOrOffset, length);
    if (typeof value === "object" && value !== null && "length" in value) return wrap(Uint8Array.from(value, (byte) => byte & 255));
    throw new TypeError("a Buffer is made of text, an array of bytes, a Buffer or an ArrayBuffer");
  },
  of: (...bytes) => wrap(Uint8Array.of(...bytes)),
  alloc(size, value, encoding) {
    if (!(size >= 0)) throw new RangeError(`a Buffer cannot have ${size} bytes`);
    const buffer = new Made(size);
    return value === undefined ? buffer : buffer.fill(value, 0, size, encoding);
  },
  allocUnsafe: (size) => Buffer.alloc(size),
  allocUnsafeSlow: (size) => Buffer.alloc(size),
  isBuffer: (value) => value instanceof Made,
  isEncoding: (name) => ENCODINGS[String(name).toLowerCase()] !== undefined,
  byteLength: (value, encoding) => (typeof value === "string" ? encode(value, encoding).length : value.byteLength),
  concat(list, length = list.reduce((sum, part) => sum + part.length, 0)) {
    const whole = Buffer.alloc(length);
    let at = 0;
    for (const part of list) {
      if (at >= length) break;
      whole.set(part.subarray(0, length - at), at);
      at += part.length;
    }
    return whole;
  },
  compare(a, b) {
    const length = Math.min(a.length, b.length);
    for (let at = 0; at < length; at++) if (a[at] !== b[at]) return a[at] < b[at] ? -1 : 1;
    return Math.sign(a.length - b.length);
  },
});
