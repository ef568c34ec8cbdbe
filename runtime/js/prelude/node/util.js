// node:util.

import { TextDecoder, TextEncoder } from "runner:encoding";
import { format, inspect } from "runner:inspect";

const promisified = Symbol.for("nodejs.util.promisify.custom");

export function promisify(original) {
  if (typeof original !== "function") throw new TypeError("promisify needs a function");
  if (typeof original[promisified] === "function") return original[promisified];
  return function call(...values) {
    return new Promise((resolve, reject) => {
      original.call(this, ...values, (error, value) => (error ? reject(error) : resolve(value)));
    });
  };
}
promisify.custom = promisified;

export function callbackify(original) {
  return function call(...values) {
    const callback = values.pop();
    original.apply(this, values).then(
      (value) => setImmediate(callback, null, value),
      (error) => setImmediate(callback, error ?? new Error("rejected without a reason")),
    );
  };
}

export function inherits(child, parent) {
  Object.defineProperty(child, "super_", { value: parent, writable: true, configurable: true });
  Object.setPrototypeOf(child.prototype, parent.prototype);
}

export function deprecate(original) {
  return original;
}

export function debuglog() {
  return () => {};
}

export function isDeepStrictEqual(a, b) {
  return equal(a, b, new Map());
}

function equal(a, b, seen) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (a instanceof Date) return Object.is(a.getTime(), b.getTime());
  if (a instanceof RegExp) return String(a) === String(b) && a.lastIndex === b.lastIndex;
  if (a instanceof Error && (a.message !== b.message || a.name !== b.name)) return false;
  if ([Number, String, Boolean, BigInt, Symbol].some((kind) => a instanceof kind) && !Object.is(a.valueOf(), b.valueOf())) return false;
  if (a instanceof ArrayBuffer) return equal(new Uint8Array(a), new Uint8Array(b), seen);
  if (a instanceof Set) {
    return a.size === b.size && [...a].every((item) => b.has(item) || [...b].some((other) => equal(item, other, seen)));
  }
  if (a instanceof Map) {
    return a.size === b.size && [...a].every(([key, value]) => {
      const found = b.has(key) ? [key] : [...b.keys()].filter((other) => equal(key, other, seen));
      return found.some((other) => equal(value, b.get(other), seen));
    });
  }
  const symbols = (value) => Object.getOwnPropertySymbols(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
  const keys = [...Object.keys(a), ...symbols(a)];
  if (keys.length !== Object.keys(b).length + symbols(b).length || (Array.isArray(a) && a.length !== b.length)) return false;
  return keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key], seen));
}

export function stripVTControlCharacters(text) {
  return String(text).replace(/\u001b\[[0-9;]*[A-Za-z]/g, "");
}

export function toUSVString(text) {
  return String(text).toWellFormed();
}

const kind = (name) => (value) => Object.prototype.toString.call(value) === `[object ${name}]`;
export const types = {
  isArrayBuffer: (value) => value instanceof ArrayBuffer,
  isAnyArrayBuffer: (value) => value instanceof ArrayBuffer || kind("SharedArrayBuffer")(value),
  isArrayBufferView: ArrayBuffer.isView,
  isAsyncFunction: kind("AsyncFunction"),
  isBoxedPrimitive: (value) => [Number, String, Boolean, BigInt, Symbol].some((type) => value instanceof type),
  isDataView: (value) => value instanceof DataView,
  isDate: (value) => value instanceof Date,
  isGeneratorFunction: (value) => kind("GeneratorFunction")(value) || kind("AsyncGeneratorFunction")(value),
  isMap: (value) => value instanceof Map,
  isNativeError: (value) => value instanceof Error,
  isPromise: (value) => value instanceof Promise,
  isRegExp: (value) => value instanceof RegExp,
  isSet: (value) => value instanceof Set,
  isTypedArray: (value) => ArrayBuffer.isView(value) && !(value instanceof DataView),
  isUint8Array: (value) => value instanceof Uint8Array,
  isWeakMap: (value) => value instanceof WeakMap,
  isWeakSet: (value) => value instanceof WeakSet,
};
export const isArray = Array.isArray;

export { TextDecoder, TextEncoder, format, inspect };
export default {
  TextDecoder, TextEncoder, callbackify, debuglog, deprecate, format, inherits, inspect, isArray, isDeepStrictEqual, promisify,
  stripVTControlCharacters, toUSVString, types,
};
