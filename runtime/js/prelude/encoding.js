// TextEncoder and TextDecoder.

import host from "runner:host";
import { bytesOf } from "runner:buffer-source";

const LABELS = {
  "utf-8": ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"],
  "utf-16le": ["utf-16le", "utf-16", "ucs-2", "unicode", "csunicode", "iso-10646-ucs-2", "unicodefeff"],
  "utf-16be": ["utf-16be", "unicodefffe"],
  "windows-1252": ["windows-1252", "latin1", "iso-8859-1", "iso8859-1", "iso88591", "iso_8859-1", "ascii", "us-ascii", "l1", "cp1252", "ansi_x3.4-1968", "x-cp1252"],
};

// What windows-1252 has where Latin-1 has control characters.
const WINDOWS = "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }
  encode(text = "") {
    return host.encodeUtf8(String(text));
  }
  encodeInto(text, into) {
    const source = String(text);
    let read = 0;
    let written = 0;
    for (const char of source) {
      const bytes = host.encodeUtf8(char);
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      written += bytes.length;
      read += char.length;
    }
    return { read, written };
  }
}

export class TextDecoder {
  #encoding;
  #fatal;
  #keepMark;
  #rest = new Uint8Array(0);
  #begun = false;
  constructor(label = "utf-8", options = {}) {
    const wanted = String(label).trim().toLowerCase();
    this.#encoding = Object.keys(LABELS).find((name) => LABELS[name].includes(wanted));
    if (this.#encoding === undefined) {
      throw new RangeError(`the encoding "${label}" is not here; there are ${Object.keys(LABELS).join(", ")}`);
    }
    this.#fatal = Boolean(options?.fatal);
    this.#keepMark = Boolean(options?.ignoreBOM);
  }
  get encoding() {
    return this.#encoding;
  }
  get fatal() {
    return this.#fatal;
  }
  get ignoreBOM() {
    return this.#keepMark;
  }
  decode(input, options = {}) {
    const more = Boolean(options?.stream);
    let bytes = input === undefined ? new Uint8Array(0) : bytesOf(input);
    if (this.#rest.length > 0) {
      const whole = new Uint8Array(this.#rest.length + bytes.length);
      whole.set(this.#rest);
      whole.set(bytes, this.#rest.length);
      bytes = whole;
    }
    let [text, open, broken] = this.#text(bytes);
    this.#rest = more && open > 0 ? bytes.slice(bytes.length - open) : new Uint8Array(0);
    if (!more && open > 0) {
      text += "\ufffd";
      broken = true;
    }
    if (broken && this.#fatal) {
      this.#rest = new Uint8Array(0);
      throw new TypeError(`the bytes are not ${this.#encoding}`);
    }
    if (!this.#begun && text.length > 0) {
      if (!this.#keepMark && text[0] === "\ufeff" && this.#encoding !== "windows-1252") text = text.slice(1);
      this.#begun = true;
    }
    if (!more) this.#begun = false;
    return text;
  }
  #text(bytes) {
    if (this.#encoding === "utf-8") return host.decodeUtf8(bytes);
    let text = "";
    if (this.#encoding === "windows-1252") {
      for (const byte of bytes) text += byte >= 0x80 && byte < 0xa0 ? WINDOWS[byte - 0x80] : String.fromCharCode(byte);
      return [text, 0, false];
    }
    const little = this.#encoding === "utf-16le";
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const even = bytes.length - (bytes.length % 2);
    for (let at = 0; at < even; at += 2) text += String.fromCharCode(view.getUint16(at, little));
    return [text.toWellFormed(), bytes.length % 2, !text.isWellFormed()];
  }
}
