import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import crypto from "node:crypto";
import EventEmitter, { once } from "node:events";
import path from "node:path";
import querystring from "querystring";
import { setTimeout as wait } from "node:timers/promises";
import url from "node:url";
import util from "util";

const tests = {
  "buffers are made of text, bytes and numbers"() {
    assert.equal(Buffer.from("aü€").toString("hex"), "61c3bce282ac");
    assert.equal(Buffer.from("61c3bc", "hex").toString(), "aü");
    assert.equal(Buffer.from("616", "hex").length, 1);
    assert.equal(Buffer.from("aGk=", "base64").toString("latin1"), "hi");
    assert.equal(Buffer.from("_-8", "base64url").toString("base64"), "/+8=");
    assert.equal(Buffer.from([1, 256, -1]).toString("hex"), "0100ff");
    assert.equal(Buffer.from("hi", "utf16le").toString("hex"), "68006900");
    assert.equal(Buffer.alloc(3, "ab").toString(), "aba");
    assert.equal(Buffer.concat([Buffer.from("a"), new Uint8Array([98])]).toString(), "ab");
    assert.equal(Buffer.byteLength("€"), 3);
    assert.equal(Buffer.isBuffer(Buffer.alloc(1)), true);
    assert.equal(Buffer.isBuffer(new Uint8Array(1)), false);
    assert.equal(Buffer.alloc(1) instanceof Uint8Array, true);
    assert.equal(Buffer.alloc(1) instanceof Buffer, true);
    assert.equal(JSON.stringify(Buffer.from("a")), '{"type":"Buffer","data":[97]}');
    assert.equal(Buffer.from(JSON.parse(JSON.stringify(Buffer.from("xyz")))).toString(), "xyz");
    assert.equal(util.inspect(Buffer.from("abc")), "<Buffer 61 62 63>");
    assert.equal(Buffer.from("abcabc").indexOf("c", 3), 5);
    assert.equal(Buffer.from("abcabc").lastIndexOf("ab"), 3);
    assert.equal(Buffer.from("abc").includes("bc"), true);
    assert.equal(Buffer.from("abc").equals(Buffer.from("abc")), true);
    assert.equal(Buffer.compare(Buffer.from("a"), Buffer.from("b")), -1);
    const shared = Buffer.from("abc");
    shared.slice(1)[0] = 120;
    assert.equal(shared.toString(), "axc");
    assert.equal(shared.toString("utf8", 1, 2), "x");
    assert.equal(shared.write("zz", 1), 2);
    const target = Buffer.alloc(2);
    assert.equal(shared.copy(target, 0, 1), 2);
    assert.equal(target.toString(), "zz");
    assert.throws(() => Buffer.from(5), TypeError);
  },
  "buffers hold numbers in both orders"() {
    const bytes = Buffer.from("01f6ff80000000ff", "hex");
    assert.equal(bytes.readUInt8(0), 1);
    assert.equal(bytes.readInt8(1), -10);
    assert.equal(bytes.readInt16BE(1), -2305);
    assert.equal(bytes.readUInt16LE(1), 65526);
    assert.equal(bytes.readUint32BE(4), 255);
    assert.equal(bytes.readInt32LE(4), -16777216);
    assert.equal(bytes.readUIntBE(0, 3), 128767);
    assert.equal(bytes.readIntBE(1, 3), -589952);
    assert.equal(bytes.readBigUInt64BE(0), 0x01f6ff80000000ffn);
    const made = Buffer.alloc(16);
    assert.equal(made.writeInt16BE(-2, 0), 2);
    made.writeFloatLE(1.5, 2);
    made.writeDoubleBE(-0.25, 6);
    made.writeUIntLE(0x1234, 14, 2);
    assert.equal(made.toString("hex"), "fffe0000c03fbfd00000000000003412");
    assert.equal(made.readDoubleBE(6), -0.25);
    assert.throws(() => made.readInt32BE(14), { name: "RangeError", code: "ERR_OUT_OF_RANGE" });
    assert.throws(() => made.writeUInt8(256), { code: "ERR_OUT_OF_RANGE" });
  },
  "digests are those of other programs"() {
    assert.equal(crypto.createHash("md5").update("abc").digest("hex"), "900150983cd24fb0d6963f7d28e17f72");
    assert.equal(crypto.createHash("sha256").update("a").update(Buffer.from("bc")).digest("base64"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    assert.equal(crypto.createHmac("sha1", "key").update("data").digest("hex"), "104152c5bfdca07bc633eebd46199f0255c9f49d");
    assert.equal(crypto.timingSafeEqual(Buffer.from("a"), Buffer.from("a")), true);
    assert.throws(() => crypto.timingSafeEqual(Buffer.from("a"), Buffer.from("ab")), RangeError);
    assert.equal(crypto.randomBytes(8).length, 8);
    const number = crypto.randomInt(5, 8);
    assert.ok(number >= 5 && number < 8);
    assert.throws(() => crypto.createHash("md4"), Error);
    const hash = crypto.createHash("sha1");
    hash.digest();
    assert.throws(() => hash.update("x"), Error);
  },
  "paths are taken apart and put together"() {
    assert.equal(path.join("/a", "..", "b/./c", "d.txt"), "/b/c/d.txt");
    assert.equal(path.resolve("/x", "y", "../z"), "/x/z");
    assert.equal(path.basename("/a/b.txt", ".txt"), "b");
    assert.equal(path.extname("a.b.c"), ".c");
    assert.equal(path.extname(".hidden"), "");
    assert.equal(path.dirname("/a/b/"), "/a");
    assert.equal(path.dirname("a"), ".");
    assert.equal(path.normalize("a//b/../../.."), "..");
    assert.equal(path.relative("/a/b/c", "/a/d"), "../../d");
    assert.deepEqual(path.parse("/a/b.c"), { root: "/", dir: "/a", base: "b.c", ext: ".c", name: "b" });
    assert.equal(path.format({ dir: "/x", name: "n", ext: ".e" }), "/x/n.e");
    assert.equal(path.isAbsolute("a"), false);
  },
  async "emitters emit"() {
    class Own extends EventEmitter {}
    const emitter = new Own();
    const seen = [];
    emitter.on("a", (x) => seen.push(x)).once("a", (x) => seen.push(-x)).prependListener("a", () => seen.push(0));
    assert.equal(emitter.emit("a", 1), true);
    assert.equal(emitter.emit("a", 2), true);
    assert.deepEqual(seen, [0, 1, -1, 0, 2]);
    assert.equal(emitter.emit("b"), false);
    assert.throws(() => emitter.emit("error", new Error("e")), /e/);
    assert.equal(emitter.listenerCount("a"), 2);
    emitter.removeAllListeners("a");
    assert.deepEqual(emitter.eventNames(), []);
    setTimeout(() => emitter.emit("later", 7), 1);
    assert.deepEqual(await once(emitter, "later"), [7]);
    function Old() {
      EventEmitter.call(this);
    }
    util.inherits(Old, EventEmitter);
    let heard = false;
    new Old().on("x", () => (heard = true)).emit("x");
    assert.equal(heard, true);
  },
  "queries are read and written"() {
    assert.deepEqual({ ...querystring.parse("a=1&b=x%20y&a=2&c") }, { a: ["1", "2"], b: "x y", c: "" });
    assert.equal(querystring.stringify({ a: [1, 2], b: "x y", c: true, d: null }), "a=1&a=2&b=x%20y&c=true&d=");
  },
  "node:url has the old ways"() {
    const parsed = url.parse("https://u:p@h.com:81/p/a?x=1#h", true);
    assert.equal(parsed.hostname, "h.com");
    assert.equal(parsed.query.x, "1");
    assert.equal(parsed.path, "/p/a?x=1");
    assert.equal(parsed.auth, "u:p");
    assert.equal(url.parse("/only/path?q").pathname, "/only/path");
    assert.equal(url.resolve("http://a.com/b/c", "../d"), "http://a.com/d");
    assert.equal(url.format({ protocol: "http", hostname: "a", port: 1, pathname: "/b", query: { c: 1 } }), "http://a:1/b?c=1");
    assert.equal(url.domainToASCII("español.com"), "xn--espaol-zwa.com");
  },
  async "node:util and timers"() {
    const later = util.promisify((value, callback) => setTimeout(() => callback(null, value + 1), 1));
    assert.equal(await later(1), 2);
    await assert.rejects(util.promisify((callback) => callback(new Error("no")))(), /no/);
    assert.equal(util.isDeepStrictEqual({ a: [new Map([[1, new Set([2])]])] }, { a: [new Map([[1, new Set([2])]])] }), true);
    assert.equal(util.isDeepStrictEqual([1], ["1"]), false);
    assert.equal(util.types.isDate(new Date()), true);
    assert.equal(util.types.isPromise(Promise.resolve()), true);
    assert.equal(await wait(1, "v"), "v");
    assert.equal(util.format("%s", "x"), "x");
  },
  "assert says what is wrong"() {
    assert.throws(() => assert.equal(1, 2), { name: "AssertionError", code: "ERR_ASSERTION" });
    assert.throws(() => assert(false, "words"), /words/);
    assert.throws(() => assert.deepEqual({ a: 1 }, { a: 2 }));
    assert.throws(() => assert.throws(() => {}), { code: "ERR_ASSERTION" });
    assert.notDeepEqual({ a: 1 }, { a: "1" });
  },
};
