import assert from "node:assert/strict";
import { format, inspect } from "node:util";

class Point {
  constructor(x, y) {
    this.x = x;
    this.y = y;
  }
}
class Named extends Map {}

const is = (value, text, options) => assert.equal(inspect(value, options), text);

const tests = {
  "primitives are written as in a script"() {
    is(1, "1");
    is(-0, "-0");
    is(12n, "12n");
    is("it", "'it'");
    is("it's", `"it's"`);
    is(`it's "so"`, "`it's \"so\"`");
    is("a\nb\\", "'a\\nb\\\\'");
    is("\x01\x7f", "'\\x01\\x7F'");
    is(undefined, "undefined");
    is(null, "null");
    is(Symbol("s"), "Symbol(s)");
    is(true, "true");
  },
  "objects show their class, keys and accessors"() {
    is({}, "{}");
    is({ a: 1, "b-c": [1, "x"], [Symbol("k")]: null }, "{ a: 1, 'b-c': [ 1, 'x' ], [Symbol(k)]: null }");
    is(new Point(1, 2), "Point { x: 1, y: 2 }");
    is(Object.create(null), "[Object: null prototype] {}");
    is(Object.assign(Object.create(null), { a: 1 }), "[Object: null prototype] { a: 1 }");
    is({ get a() { return 1; }, set b(v) {}, get c() { return 1; }, set c(v) {} }, "{ a: [Getter], b: [Setter], c: [Getter/Setter] }");
    is({ [Symbol.toStringTag]: "Tag" }, "{ [Symbol(Symbol.toStringTag)]: 'Tag' }");
    class Tagged {
      get [Symbol.toStringTag]() {
        return "Tag";
      }
    }
    is(new Tagged(), "Tagged [Tag] {}");
  },
  "collections show their sizes"() {
    is([], "[]");
    is([1, , 3, , ,], "[ 1, <1 empty item>, 3, <2 empty items> ]");
    is(new Map([["a", { b: 1 }]]), "Map(1) { 'a' => { b: 1 } }");
    is(new Set([1, "2"]), "Set(2) { 1, '2' }");
    is(new Map(), "Map(0) {}");
    is(new Named([[1, 2]]), "Named(1) [Map] { 1 => 2 }");
    is(new Uint8Array([1, 2, 3]), "Uint8Array(3) [ 1, 2, 3 ]");
    is(new Float64Array([1.5]), "Float64Array(1) [ 1.5 ]");
    is(new Uint8Array([1, 255]).buffer, "ArrayBuffer { [Uint8Contents]: <01 ff>, byteLength: 2 }");
    is(new WeakMap(), "WeakMap { <items unknown> }");
    is(Object.assign([1], { extra: true }), "[ 1, extra: true ]");
  },
  "functions, classes, dates, patterns and boxes have forms of their own"() {
    is(function named() {}, "[Function: named]");
    is(() => {}, "[Function (anonymous)]");
    is(async function later() {}, "[AsyncFunction: later]");
    is(function* many() {}, "[GeneratorFunction: many]");
    is(Point, "[class Point]");
    is(Named, "[class Named extends Map]");
    is(class {}, "[class (anonymous)]");
    is(Map, "[Function: Map]");
    is(new Date(0), "1970-01-01T00:00:00.000Z");
    is(new Date(NaN), "Invalid Date");
    is(/a+/gi, "/a+/gi");
    is(new Number(3), "[Number: 3]");
    is(new String("x"), "[String: 'x']");
    is({ f() {} }, "{ f: [Function: f] }");
  },
  "promises show what became of them"() {
    is(new Promise(() => {}), "Promise { <pending> }");
    is(Promise.resolve(4), "Promise { 4 }");
    const no = Promise.reject(4);
    no.catch(() => {});
    is(no, "Promise { <rejected> 4 }");
  },
  "depth is cut at two, and circles are named"() {
    is({ a: { b: { c: { d: 1 } } } }, "{ a: { b: { c: [Object] } } }");
    is([[[[1]]]], "[ [ [ [Array] ] ] ]");
    is({ a: { b: new Point({ z: 1 }, 2) } }, "{ a: { b: Point { x: [Object], y: 2 } } }");
    is({ a: { b: { c: {} } } }, "{ a: { b: { c: {} } } }");
    const circle = { name: "c" };
    circle.self = circle;
    is(circle, "<ref *1> { name: 'c', self: [Circular *1] }");
    is({ a: { b: { c: { d: 1 } } } }, "{\n  a: { b: { c: { d: 1 } } }\n}", { depth: null });
  },
  "long values take several lines, long lists take columns"() {
    is(
      { first: "a".repeat(30), second: "b".repeat(30), third: "c".repeat(30) },
      `{\n  first: '${"a".repeat(30)}',\n  second: '${"b".repeat(30)}',\n  third: '${"c".repeat(30)}'\n}`,
    );
    is(Array.from({ length: 10 }, (_, at) => at), "[\n  0, 1, 2, 3, 4,\n  5, 6, 7, 8, 9\n]");
    is(Array.from({ length: 7 }, (_, at) => `k${at}`), "[\n  'k0', 'k1',\n  'k2', 'k3',\n  'k4', 'k5',\n  'k6'\n]");
    is(
      [{ id: "1", name: "One", tags: [] }, { id: "2", name: "Two", tags: [{ key: "a", value: "b" }] }],
      "[\n  { id: '1', name: 'One', tags: [] },\n  { id: '2', name: 'Two', tags: [ [Object] ] }\n]",
    );
    assert.match(inspect(Array.from({ length: 120 }, () => 1)), /\.\.\. 20 more items\n\]$/);
    is({ a: "x\ny" }, "{ a: 'x\\ny' }");
  },
  "errors show their message, causes and properties"() {
    const text = inspect(Object.assign(new TypeError("bad", { cause: new Error("inner") }), { code: 7 }));
    assert.match(text, /^TypeError: bad\n {4}at .*\n/);
    assert.match(text, /code: 7,?\n/);
    assert.match(text, /\[cause\]: Error: inner\n {6}at /);
    class Special extends Error {
      name = "Special";
    }
    assert.match(inspect(new Special("s")), /^Special: s\n/);
    assert.match(inspect({ e: new Error("deep") }), /^\{\n  e: Error: deep\n {6}at /);
  },
  "an object may say itself how it is shown"() {
    is({ [Symbol.for("nodejs.util.inspect.custom")]: (depth) => `<own ${depth}>` }, "<own 2>");
    is({ a: { [Symbol.for("nodejs.util.inspect.custom")]: () => ({ b: 1 }) } }, "{ a: { b: 1 } }");
  },
  "placeholders take their arguments"() {
    assert.equal(format("%s is %d, %i, %f", "a", "1.5", "1.9", "2.25"), "a is 1.5, 1, 2.25");
    assert.equal(format("%j %o", { a: 1 }, 5), '{"a":1} 5');
    assert.equal(format("%O", { a: { b: {} } }), "{ a: { b: {} } }");
    assert.equal(format("100%", 1), "100% 1");
    assert.equal(format("%% %s"), "%% %s");
    assert.equal(format("%c styled", "color: red"), " styled");
    assert.equal(format("a", "b", { c: "d" }, ["e"]), "a b { c: 'd' } [ 'e' ]");
    assert.equal(format("%s", null, undefined), "null undefined");
    assert.equal(format("%s", { a: { b: 1 } }), "{ a: [Object] }");
    assert.equal(format("%s", new Point(1, 2)), "Point { x: 1, y: 2 }");
    assert.equal(format("%s %s", [1, [2]], Symbol("s")), "[ 1, [Array] ] Symbol(s)");
    assert.equal(format(1, "a"), "1 a");
    assert.equal(format("%x", 1), "%x 1");
  },
};
