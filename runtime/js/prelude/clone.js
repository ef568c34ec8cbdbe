// structuredClone.

import { Blob } from "runner:blob";
import { DOMException } from "runner:event";

const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

export function structuredClone(value, options = {}) {
  const seen = new Map();
  const clone = copy(value, seen);
  for (const buffer of options?.transfer ?? []) {
    if (!(buffer instanceof ArrayBuffer)) throw refuse("what is transferred");
    buffer.transfer();
  }
  return clone;
}

function refuse(what) {
  return new DOMException(`${what} could not be cloned`, "DataCloneError");
}

function copy(value, seen) {
  if (typeof value === "symbol") throw refuse(String(value));
  if (typeof value === "function") throw refuse(`the function ${value.name || "without a name"}`);
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const keep = (made) => {
    seen.set(value, made);
    return made;
  };
  if (value instanceof Date) return keep(new Date(value.getTime()));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof ArrayBuffer) return keep(value.slice(0));
  if (ArrayBuffer.isView(value)) {
    const buffer = copy(value.buffer, seen);
    const kind = value instanceof DataView ? DataView : globalThis[Object.prototype.toString.call(value).slice(8, -1)];
    return keep(new kind(buffer, value.byteOffset, value instanceof DataView ? value.byteLength : value.length));
  }
  if (value instanceof Map) {
    const made = keep(new Map());
    for (const [key, item] of [...value]) made.set(copy(key, seen), copy(item, seen));
    return made;
  }
  if (value instanceof Set) {
    const made = keep(new Set());
    for (const item of [...value]) made.add(copy(item, seen));
    return made;
  }
  if (value instanceof Error) {
    const made = keep(new (ERRORS[value.name] ?? Error)(value.message));
    if (typeof value.stack === "string") Object.defineProperty(made, "stack", { value: value.stack, writable: true, configurable: true });
    if ("cause" in value) Object.defineProperty(made, "cause", { value: copy(value.cause, seen), writable: true, configurable: true });
    return made;
  }
  for (const kind of [Number, String, Boolean, BigInt]) {
    if (value instanceof kind) return keep(Object(value.valueOf()));
  }
  // A Blob never changes, so its copy may be itself.
  if (value instanceof Blob) return keep(value);
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
    throw refuse(`a ${value.constructor.name}`);
  }
  const made = keep(Array.isArray(value) ? new Array(value.length) : {});
  for (const key of Object.keys(value)) {
    Object.defineProperty(made, key, { value: copy(value[key], seen), writable: true, enumerable: true, configurable: true });
  }
  return made;
}
