// FormData, and how it is written as the body of a request.

import host from "runner:host";
import { Blob, File, blobBytes } from "runner:blob";
import { joined } from "runner:buffer-source";
import { custom } from "runner:inspect";

function entry(name, value, fileName) {
  if (!(value instanceof Blob)) return [String(name), String(value)];
  const isFile = value instanceof File && fileName === undefined;
  return [String(name), isFile ? value : new File([value], fileName ?? "blob", { type: value.type, lastModified: 0 })];
}

export class FormData {
  #entries = [];
  append(name, value, fileName) {
    this.#entries.push(entry(name, value, fileName));
  }
  delete(name) {
    this.#entries = this.#entries.filter((known) => known[0] !== String(name));
  }
  get(name) {
    return this.#entries.find((known) => known[0] === String(name))?.[1] ?? null;
  }
  getAll(name) {
    return this.#entries.filter((known) => known[0] === String(name)).map((known) => known[1]);
  }
  has(name) {
    return this.#entries.some((known) => known[0] === String(name));
  }
  set(name, value, fileName) {
    const made = entry(name, value, fileName);
    const at = this.#entries.findIndex((known) => known[0] === made[0]);
    if (at < 0) {
      this.#entries.push(made);
      return;
    }
    this.#entries[at] = made;
    this.#entries = this.#entries.filter((known, place) => place <= at || known[0] !== made[0]);
  }
  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }
  *entries() {
    for (const [name, value] of this.#entries) yield [name, value];
  }
  *keys() {
    for (const [name] of this.#entries) yield name;
  }
  *values() {
    for (const [, value] of this.#entries) yield value;
  }
  [Symbol.iterator]() {
    return this.entries();
  }
  get [Symbol.toStringTag]() {
    return "FormData";
  }
  [custom](depth, options, inspect) {
    return `FormData ${inspect(this.#entries, options)}`;
  }
}

const escape = (text) => text.replaceAll("\n", "%0A").replaceAll("\r", "%0D").replaceAll('"', "%22");

/** The form as bytes, and the content type that tells how to read them. */
export function writeForm(form) {
  const boundary = `----formdata-${Array.from({ length: 24 }, () => Math.floor(host.random() * 16).toString(16)).join("")}`;
  const parts = [];
  for (const [name, value] of form) {
    let head = `--${boundary}\r\nContent-Disposition: form-data; name="${escape(name)}"`;
    if (typeof value === "string") {
      parts.push(host.encodeUtf8(`${head}\r\n\r\n${value.replace(/\r?\n|\r/g, "\r\n")}\r\n`));
      continue;
    }
    head += `; filename="${escape(value.name)}"\r\nContent-Type: ${value.type || "application/octet-stream"}`;
    parts.push(host.encodeUtf8(`${head}\r\n\r\n`), blobBytes(value), host.encodeUtf8("\r\n"));
  }
  parts.push(host.encodeUtf8(`--${boundary}--\r\n`));
  return { bytes: joined(parts), type: `multipart/form-data; boundary=${boundary}` };
}

/** Reads a form of the type application/x-www-form-urlencoded. */
export function readForm(text) {
  const form = new FormData();
  const flat = host.parseForm(text);
  for (let at = 0; at < flat.length; at += 2) form.append(flat[at], flat[at + 1]);
  return form;
}
