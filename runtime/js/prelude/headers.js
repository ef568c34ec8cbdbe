// Headers.

import { custom } from "runner:inspect";

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function nameOf(name) {
  const text = String(name);
  if (!NAME.test(text)) throw new TypeError(`a header cannot be named ${JSON.stringify(text)}`);
  return text.toLowerCase();
}

function valueOf(name, value) {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (/[\0\n\r]/.test(text)) throw new TypeError(`the value of the header ${name} holds a line break or NUL`);
  return text;
}

export class Headers {
  #values = new Map();
  constructor(init) {
    if (init === undefined || init === null) return;
    if (typeof init !== "object") throw new TypeError("headers are made of an object, pairs or other headers");
    const pairs = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
    for (const pair of pairs) {
      const [name, value, ...rest] = pair;
      if (rest.length > 0 || pair.length === 1) throw new TypeError("each header has a name and a value");
      this.append(name, value);
    }
  }
  append(name, value) {
    const key = nameOf(name);
    const text = valueOf(key, value);
    const known = this.#values.get(key);
    if (known === undefined) this.#values.set(key, [text]);
    else known.push(text);
  }
  delete(name) {
    this.#values.delete(nameOf(name));
  }
  get(name) {
    return this.#values.get(nameOf(name))?.join(", ") ?? null;
  }
  getSetCookie() {
    return [...(this.#values.get("set-cookie") ?? [])];
  }
  has(name) {
    return this.#values.has(nameOf(name));
  }
  set(name, value) {
    const key = nameOf(name);
    this.#values.set(key, [valueOf(key, value)]);
  }
  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }
  *entries() {
    for (const name of [...this.#values.keys()].sort()) {
      const values = this.#values.get(name);
      if (name === "set-cookie") for (const value of values) yield [name, value];
      else yield [name, values.join(", ")];
    }
  }
  *keys() {
    for (const [name] of this.entries()) yield name;
  }
  *values() {
    for (const [, value] of this.entries()) yield value;
  }
  [Symbol.iterator]() {
    return this.entries();
  }
  get [Symbol.toStringTag]() {
    return "Headers";
  }
  [custom](depth, options, inspect) {
    return `Headers ${inspect(Object.fromEntries(this), options)}`;
  }
}
