// node:assert, in its strict form.

import { inspect } from "runner:inspect";
import { isDeepStrictEqual } from "node:util";

export class AssertionError extends Error {
  constructor({ message, actual, expected, operator }) {
    super(message ?? `${inspect(actual)} ${operator} ${inspect(expected)}`);
    this.name = "AssertionError";
    this.code = "ERR_ASSERTION";
    this.actual = actual;
    this.expected = expected;
    this.operator = operator;
    this.generatedMessage = message === undefined;
  }
}

function check(holds, message, actual, expected, operator) {
  if (holds) return;
  if (message instanceof Error) throw message;
  throw new AssertionError({ message, actual, expected, operator });
}

export function ok(value, message) {
  check(value, message, value, true, "==");
}

function matches(error, expected) {
  if (expected === undefined) return true;
  if (expected instanceof RegExp) return expected.test(String(error));
  if (typeof expected === "function") {
    if (expected.prototype !== undefined && error instanceof expected) return true;
    return !(expected === Error || expected.prototype instanceof Error) && expected(error) === true;
  }
  return Object.keys(expected).every((key) =>
    expected[key] instanceof RegExp ? expected[key].test(error[key]) : isDeepStrictEqual(error[key], expected[key]),
  );
}

const settled = (work) => (typeof work === "function" ? Promise.resolve().then(work) : Promise.resolve(work)).then(
  () => ({ failed: false }),
  (error) => ({ failed: true, error }),
);

function thrown({ failed, error }, expected, message) {
  if (typeof expected === "string") [expected, message] = [undefined, expected];
  check(failed, message ?? "Missing expected exception.", undefined, expected, "throws");
  if (!matches(error, expected)) throw error;
}

function attempt(work) {
  try {
    work();
    return { failed: false };
  } catch (error) {
    return { failed: true, error };
  }
}

function notThrown({ failed, error }, message) {
  check(!failed, message ?? `Got unwanted exception: ${error?.message ?? error}`, error, undefined, "doesNotThrow");
}

const equal = (actual, expected, message) => check(Object.is(actual, expected), message, actual, expected, "strictEqual");
const notEqual = (actual, expected, message) => check(!Object.is(actual, expected), message, actual, expected, "notStrictEqual");
const deepEqual = (actual, expected, message) =>
  check(isDeepStrictEqual(actual, expected), message, actual, expected, "deepStrictEqual");
const notDeepEqual = (actual, expected, message) =>
  check(!isDeepStrictEqual(actual, expected), message, actual, expected, "notDeepStrictEqual");

const assert = Object.assign((value, message) => ok(value, message), {
  AssertionError, ok, equal, strictEqual: equal, notEqual, notStrictEqual: notEqual, deepEqual, deepStrictEqual: deepEqual,
  notDeepEqual, notDeepStrictEqual: notDeepEqual,
  throws: (work, expected, message) => thrown(attempt(work), expected, message),
  doesNotThrow: (work, message) => notThrown(attempt(work), message),
  rejects: async (work, expected, message) => thrown(await settled(work), expected, message),
  doesNotReject: async (work, message) => notThrown(await settled(work), message),
  match: (text, pattern, message) => check(pattern.test(text), message, text, pattern, "match"),
  doesNotMatch: (text, pattern, message) => check(!pattern.test(text), message, text, pattern, "doesNotMatch"),
  ifError: (value) => {
    if (value !== null && value !== undefined) throw value;
  },
  fail(message = "Failed") {
    check(false, message, undefined, undefined, "fail");
  },
});
assert.strict = assert;

export const {
  deepStrictEqual, doesNotMatch, doesNotReject, doesNotThrow, fail, ifError, match, notDeepStrictEqual, notStrictEqual, rejects,
  strict, strictEqual, throws,
} = assert;
export { deepEqual, equal, notDeepEqual, notEqual };
export default assert;
