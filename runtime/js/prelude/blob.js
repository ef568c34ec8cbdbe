// Blob and File.

import host from "runner:host";
import { bytesOf, isBufferSource, joined } from "runner:buffer-source";
import { custom } from "runner:inspect";
import { ReadableStream } from "runner:stream";

export class Blob {
  #bytes;
  #type;
  constructor(parts = [], options = {}) {
    if (typeof parts !== "object" || parts === null || typeof parts[Symbol.iterator] !== "function") {
      throw new TypeError("a Blob is made of an array of parts");
    }
    const all = [...parts].map((part) => {
      if (part instanceof Blob) return part.#bytes;
      return isBufferSource(part) ? bytesOf(part) : host.encodeUtf8(String(part));
    });
    // A copy: what the parts are changed to later is not the Blob's business.
    this.#bytes = new Uint8Array(joined([...all, new Uint8Array(0)]));
    const type = String(options?.type ?? "");
    this.#type = /^[\x20-\x7e]*$/.test(type) ? type.toLowerCase() : "";
  }
  get size() {
    return this.#bytes.length;
  }
  get type() {
    return this.#type;
  }
  async arrayBuffer() {
    return this.#bytes.slice().buffer;
  }
  async bytes() {
    return this.#bytes.slice();
  }
  async text() {
    return host.decodeUtf8(this.#bytes)[0];
  }
  slice(start = 0, end = this.size, type = "") {
    return new Blob([this.#bytes.slice(start, end)], { type });
  }
  stream() {
    const bytes = this.#bytes;
    return new ReadableStream({
      start(controller) {
        if (bytes.length > 0) controller.enqueue(bytes.slice());
        controller.close();
      },
    });
  }
  get [Symbol.toStringTag]() {
    return this instanceof File ? "File" : "Blob";
  }
  [custom](depth, options, inspect) {
    const { size, type, name } = this;
    const shown = name === undefined ? { size, type } : { size, type, name };
    return `${this[Symbol.toStringTag]} ${inspect(shown, options)}`;
  }

  static _bytes(blob) {
    return blob.#bytes;
  }
}
/** The bytes of a Blob, not copied. */
export const blobBytes = Blob._bytes;
delete Blob._bytes;

export class File extends Blob {
  #name;
  #modified;
  constructor(parts, name, options = {}) {
    if (arguments.length < 2) throw new TypeError("a File needs parts and a name");
    super(parts, options);
    this.#name = String(name);
    this.#modified = options?.lastModified ?? Date.now();
  }
  get name() {
    return this.#name;
  }
  get lastModified() {
    return this.#modified;
  }
}
