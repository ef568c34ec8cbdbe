// What Request and Response have in common: a body that is read once.

import host from "runner:host";
import { Blob, blobBytes } from "runner:blob";
import { bytesOf, isBufferSource, joined } from "runner:buffer-source";
import { FormData, readForm, writeForm } from "runner:form";
import { ReadableStream } from "runner:stream";
import { URLSearchParams } from "runner:url";

/** Takes a body apart: its bytes or its stream, and the content type that goes with it. */
export function extract(body) {
  if (body === undefined || body === null) return { bytes: null, stream: null, type: null };
  if (body instanceof ReadableStream) return { bytes: null, stream: body, type: null };
  if (body instanceof Blob) return { bytes: blobBytes(body), stream: null, type: body.type || null };
  if (body instanceof FormData) return { stream: null, ...writeForm(body) };
  if (body instanceof URLSearchParams) {
    return { bytes: host.encodeUtf8(body.toString()), stream: null, type: "application/x-www-form-urlencoded;charset=UTF-8" };
  }
  if (isBufferSource(body)) return { bytes: bytesOf(body).slice(), stream: null, type: null };
  if (typeof body === "object" && typeof body[Symbol.asyncIterator] === "function") {
    return { bytes: null, stream: ReadableStream.from(body), type: null };
  }
  return { bytes: host.encodeUtf8(String(body)), stream: null, type: "text/plain;charset=UTF-8" };
}

/** All bytes of a stream. */
export async function drain(stream) {
  const parts = [];
  for await (const chunk of stream) {
    if (typeof chunk === "string") parts.push(host.encodeUtf8(chunk));
    else parts.push(bytesOf(chunk));
  }
  return joined([...parts, new Uint8Array(0)]);
}

export class Body {
  #bytes = null;
  #stream = null;
  #used = false;

  /** Sets the body, of what `extract` made. */
  _setBody({ bytes, stream }) {
    this.#bytes = bytes;
    this.#stream = stream;
  }
  _hasBody() {
    return this.#bytes !== null || this.#stream !== null;
  }
  /** Shares the body with a copy. */
  _shareBody(copy) {
    if (this.bodyUsed) throw new TypeError("the body was read already");
    let stream = null;
    if (this.#stream !== null) [this.#stream, stream] = this.#stream.tee();
    copy._setBody({ bytes: this.#bytes, stream });
  }
  get body() {
    if (this.#stream === null && this.#bytes !== null) {
      const bytes = this.#bytes;
      this.#bytes = null;
      this.#stream = new ReadableStream({
        start(controller) {
          if (bytes.length > 0) controller.enqueue(bytes);
          controller.close();
        },
      });
    }
    return this.#stream;
  }
  get bodyUsed() {
    return this.#used;
  }
  async _read() {
    if (this.#used) throw new TypeError("the body was read already: a body can be read once; clone() before");
    if (this.#stream?.locked) throw new TypeError("the body is locked to a reader");
    if (this.#stream === null && this.#bytes === null) return new Uint8Array(0);
    this.#used = true;
    return this.#bytes ?? drain(this.#stream);
  }
  async bytes() {
    return (await this._read()).slice();
  }
  async arrayBuffer() {
    return (await this._read()).slice().buffer;
  }
  async text() {
    const text = host.decodeUtf8(await this._read());
    return withoutMark(text[1] > 0 ? `${text[0]}\ufffd` : text[0]);
  }
  async json() {
    return JSON.parse(await this.text());
  }
  async blob() {
    return new Blob([await this._read()], { type: this.headers.get("content-type") ?? "" });
  }
  async formData() {
    const type = this.headers.get("content-type") ?? "";
    if (!type.startsWith("application/x-www-form-urlencoded")) {
      throw new TypeError(`a form can only be read as application/x-www-form-urlencoded, and this is ${type || "of no type"}`);
    }
    return readForm(await this.text());
  }
}
for (const name of ["_setBody", "_hasBody", "_shareBody", "_read"]) {
  Object.defineProperty(Body.prototype, name, { enumerable: false });
}

function withoutMark(text) {
  return text[0] === "\ufeff" ? text.slice(1) : text;
}
