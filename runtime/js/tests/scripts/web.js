import assert from "node:assert/strict";

const tests = {
  "a URL has its parts"() {
    const url = new URL("HTTPS://user:pa%20ss@EXAMPLE.com:8080/a/./b/../c?x=1&y=2#frag");
    assert.equal(url.href, "https://user:pa%20ss@example.com:8080/a/c?x=1&y=2#frag");
    assert.deepEqual(
      [url.protocol, url.username, url.password, url.host, url.hostname, url.port, url.pathname, url.search, url.hash, url.origin],
      ["https:", "user", "pa%20ss", "example.com:8080", "example.com", "8080", "/a/c", "?x=1&y=2", "#frag", "https://example.com:8080"],
    );
    assert.equal(String(new URL("../up?q#h", "http://a.b/c/d/e")), "http://a.b/c/up?q#h");
    assert.equal(new URL("http://bücher.example/ü").href, "http://xn--bcher-kva.example/%C3%BC");
    assert.equal(new URL("http://0x7f.1/").hostname, "127.0.0.1");
    assert.equal(new URL("http://[::1]:80/").host, "[::1]");
    assert.equal(JSON.stringify({ url }), '{"url":"https://user:pa%20ss@example.com:8080/a/c?x=1&y=2#frag"}');
    assert.throws(() => new URL("/no/base"), { name: "TypeError", message: "Invalid URL" });
    assert.throws(() => new URL("http://a b/"), TypeError);
    assert.equal(URL.canParse("http://a"), true);
    assert.equal(URL.canParse("nothing"), false);
    assert.equal(new URL("data:text/plain,x").origin, "null");
  },
  "the parts of a URL can be set"() {
    const url = new URL("http://a.b/c");
    url.protocol = "https";
    url.host = "x.y:444";
    url.pathname = "/p q";
    url.search = "k=v w";
    url.hash = "z";
    url.username = "me";
    assert.equal(url.href, "https://me@x.y:444/p%20q?k=v%20w#z");
    url.port = "443";
    assert.equal(url.host, "x.y");
    url.searchParams.append("a", "1&2");
    url.searchParams.delete("k");
    assert.equal(url.search, "?a=1%262");
    url.search = "?b=3";
    assert.equal(url.searchParams.get("b"), "3");
    url.href = "http://new/";
    assert.equal(url.searchParams.size, 0);
    assert.throws(() => {
      url.href = "bad";
    }, TypeError);
  },
  "search parameters are read and written as forms are"() {
    const params = new URLSearchParams("?a=1&a=2&b=x+y&c=%C3%BC&d");
    assert.deepEqual([...params], [["a", "1"], ["a", "2"], ["b", "x y"], ["c", "ü"], ["d", ""]]);
    assert.deepEqual(params.getAll("a"), ["1", "2"]);
    assert.equal(params.get("none"), null);
    params.set("a", "9");
    params.sort();
    assert.equal(params.toString(), "a=9&b=x+y&c=%C3%BC&d=");
    assert.equal(new URLSearchParams({ q: "a b", n: 1 }).toString(), "q=a+b&n=1");
    assert.equal(new URLSearchParams([["a", "b"]]).has("a", "b"), true);
    assert.equal(`${new URLSearchParams(new URLSearchParams("x=1"))}`, "x=1");
  },
  "text becomes bytes and bytes become text"() {
    assert.deepEqual([...new TextEncoder().encode("aü€😀")], [97, 195, 188, 226, 130, 172, 240, 159, 152, 128]);
    assert.deepEqual([...new TextEncoder().encode("\ud800x")], [239, 191, 189, 120]);
    const into = new Uint8Array(4);
    assert.deepEqual(new TextEncoder().encodeInto("a€b", into), { read: 2, written: 4 });
    assert.equal(new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])), "a");
    assert.equal(new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])), "\ufeffa");
    assert.equal(new TextDecoder().decode(new Uint8Array([97, 0xff, 98])), "a\ufffdb");
    assert.throws(() => new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([0xff])), TypeError);
    assert.equal(new TextDecoder("latin1").decode(new Uint8Array([0xe9, 0x80])), "é€");
    assert.equal(new TextDecoder("utf-16le").decode(new Uint8Array([97, 0, 0x3d, 0xd8, 0, 0xde])), "a😀");
    const parts = new TextDecoder();
    const bytes = new TextEncoder().encode("a€😀");
    let text = "";
    for (const byte of bytes) text += parts.decode(new Uint8Array([byte]), { stream: true });
    assert.equal(text + parts.decode(), "a€😀");
    assert.equal(new TextDecoder().decode(new Uint8Array([97, 0xe2, 0x82])), "a\ufffd");
    assert.throws(() => new TextDecoder("klingon"), RangeError);
  },
  "base64 goes both ways"() {
    assert.equal(btoa("hello\xff"), "aGVsbG//");
    assert.equal(atob("aGVs bG8="), "hello");
    assert.throws(() => btoa("€"), { name: "InvalidCharacterError" });
    assert.throws(() => atob("*"), { name: "InvalidCharacterError" });
  },
  "headers join, sort and refuse"() {
    const headers = new Headers({ "X-B": "2", accept: " text/html " });
    headers.append("x-b", "3");
    headers.append("Set-Cookie", "a=1");
    headers.append("set-cookie", "b=2");
    assert.equal(headers.get("X-b"), "2, 3");
    assert.deepEqual(headers.getSetCookie(), ["a=1", "b=2"]);
    assert.deepEqual([...headers], [["accept", "text/html"], ["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-b", "2, 3"]]);
    headers.delete("X-B");
    assert.equal(headers.has("x-b"), false);
    assert.throws(() => headers.set("a b", "c"), TypeError);
    assert.throws(() => headers.set("a", "c\r\nd: e"), TypeError);
    assert.equal(new Headers([["a", "b"]]).get("a"), "b");
  },
  async "responses and requests hold bodies that are read once"() {
    const response = Response.json({ a: [1] }, { status: 201 });
    assert.equal(response.headers.get("content-type"), "application/json");
    const copy = response.clone();
    assert.deepEqual(await response.json(), { a: [1] });
    assert.equal(response.bodyUsed, true);
    await assert.rejects(() => response.text(), TypeError);
    assert.equal(await copy.text(), '{"a":[1]}');
    assert.equal(copy.status, 201);
    assert.equal(new Response(null, { status: 204 }).body, null);
    assert.throws(() => new Response("x", { status: 204 }), TypeError);
    assert.throws(() => new Response("x", { status: 99 }), RangeError);
    const request = new Request("http://a.b/c", { method: "post", body: new URLSearchParams({ x: "1" }) });
    assert.equal(request.method, "POST");
    assert.equal(request.headers.get("content-type"), "application/x-www-form-urlencoded;charset=UTF-8");
    assert.equal((await request.clone().formData()).get("x"), "1");
    assert.equal(await new Request(request).text(), "x=1");
    assert.throws(() => new Request("http://a.b", { body: "x" }), TypeError);
    assert.throws(() => new Request("http://user@a.b"), TypeError);
    const bytes = new Uint8Array(await new Response(new Uint8Array([1, 2])).arrayBuffer());
    assert.deepEqual([...bytes], [1, 2]);
    assert.equal(await new Response(new Blob(["a", "b"])).text(), "ab");
    const reader = new Response("stream").body.getReader();
    assert.equal(new TextDecoder().decode((await reader.read()).value), "stream");
    assert.equal((await reader.read()).done, true);
  },
  async "streams are read by readers, loops and two at once"() {
    let pulled = 0;
    const stream = new ReadableStream({
      pull(controller) {
        pulled += 1;
        if (pulled > 3) controller.close();
        else controller.enqueue(pulled);
      },
    });
    const [a, b] = stream.tee();
    const read = async (it) => {
      const all = [];
      for await (const chunk of it) all.push(chunk);
      return all;
    };
    assert.deepEqual(await Promise.all([read(a), read(b)]), [[1, 2, 3], [1, 2, 3]]);
    let cancelled;
    const endless = new ReadableStream({
      pull: (controller) => controller.enqueue("x"),
      cancel: (reason) => {
        cancelled = reason;
      },
    });
    const reader = endless.getReader();
    assert.equal((await reader.read()).value, "x");
    assert.throws(() => endless.getReader(), TypeError);
    await reader.cancel("enough");
    assert.equal(cancelled, "enough");
    await assert.rejects(() => read(new ReadableStream({ start: (c) => c.error(new Error("broken")) })), /broken/);
    assert.deepEqual(await read(ReadableStream.from([1, 2])), [1, 2]);
  },
  async "blobs, files and forms"() {
    const blob = new Blob(["ab", new Uint8Array([99]), new Blob(["d"])], { type: "Text/Plain" });
    assert.equal(blob.size, 4);
    assert.equal(blob.type, "text/plain");
    assert.equal(await blob.slice(1, 3).text(), "bc");
    const file = new File(["x"], "x.txt", { type: "text/plain", lastModified: 5 });
    assert.deepEqual([file.name, file.size, file.lastModified], ["x.txt", 1, 5]);
    const form = new FormData();
    form.append("a", "1");
    form.append("a", 2);
    form.set("f", file);
    assert.deepEqual(form.getAll("a"), ["1", "2"]);
    assert.equal(form.get("f").name, "x.txt");
    const request = new Request("http://a.b", { method: "POST", body: form });
    const type = request.headers.get("content-type");
    assert.match(type, /^multipart\/form-data; boundary=/);
    const text = await request.text();
    const boundary = type.split("boundary=")[1];
    assert.equal(text.split(`--${boundary}`).length, 5);
    assert.match(text, /name="f"; filename="x.txt"\r\nContent-Type: text\/plain\r\n\r\nx\r\n/);
  },
  async "abort signals fire once, time out and combine"() {
    const controller = new AbortController();
    let fired = 0;
    controller.signal.addEventListener("abort", () => (fired += 1));
    controller.signal.onabort = () => (fired += 10);
    controller.abort();
    controller.abort();
    assert.equal(fired, 11);
    assert.equal(controller.signal.reason.name, "AbortError");
    assert.throws(() => controller.signal.throwIfAborted(), { name: "AbortError" });
    const timeout = AbortSignal.timeout(5);
    await new Promise((resolve) => timeout.addEventListener("abort", resolve));
    assert.equal(timeout.reason.name, "TimeoutError");
    const second = new AbortController();
    const any = AbortSignal.any([second.signal, AbortSignal.timeout(10000)]);
    second.abort("why");
    assert.equal(any.reason, "why");
    assert.equal(AbortSignal.abort(3).reason, 3);
    assert.throws(() => new AbortSignal(), TypeError);
  },
  "events reach their listeners"() {
    const target = new EventTarget();
    const seen = [];
    const listener = { handleEvent: (event) => seen.push(event.type) };
    target.addEventListener("a", listener);
    target.addEventListener("a", listener);
    target.addEventListener("a", (event) => {
      seen.push(event.detail);
      event.preventDefault();
    }, { once: true });
    assert.equal(target.dispatchEvent(new CustomEvent("a", { detail: 4, cancelable: true })), false);
    assert.equal(target.dispatchEvent(new Event("a")), true);
    target.removeEventListener("a", listener);
    target.dispatchEvent(new Event("a"));
    assert.deepEqual(seen, ["a", 4, "a"]);
  },
  "structuredClone copies deeply and refuses functions"() {
    const source = { date: new Date(5), map: new Map([[1, { a: [1n] }]]), set: new Set(["x"]), re: /a/g, bytes: new Uint8Array([1, 2]), nothing: undefined };
    source.self = source;
    const clone = structuredClone(source);
    assert.equal(clone.self, clone);
    assert.equal(clone.date.getTime(), 5);
    assert.deepEqual(clone.map.get(1), { a: [1n] });
    assert.equal(clone.map === source.map, false);
    assert.equal(clone.set.has("x"), true);
    assert.equal(clone.re.flags, "g");
    assert.deepEqual([...clone.bytes], [1, 2]);
    assert.equal("nothing" in clone, true);
    const error = structuredClone(new RangeError("r", { cause: "c" }));
    assert.equal(error instanceof RangeError, true);
    assert.deepEqual([error.message, error.cause], ["r", "c"]);
    assert.throws(() => structuredClone(() => {}), { name: "DataCloneError" });
    assert.throws(() => structuredClone({ a: Symbol("s") }), { name: "DataCloneError" });
    class Point {
      x = 1;
    }
    assert.equal(structuredClone(new Point()) instanceof Point, false);
    const buffer = new ArrayBuffer(3);
    assert.equal(structuredClone(buffer, { transfer: [buffer] }).byteLength, 3);
    assert.equal(buffer.byteLength, 0);
  },
  async "timers fire in order, and can be taken back"() {
    const seen = [];
    const cleared = setTimeout(() => seen.push("never"), 1);
    clearTimeout(cleared);
    setTimeout((a, b) => seen.push(a + b), 20, "t", "20");
    setTimeout(() => seen.push("t5"), 5);
    setImmediate(() => seen.push("now"));
    queueMicrotask(() => seen.push("micro"));
    process.nextTick((x) => seen.push(x), "tick");
    let times = 0;
    await new Promise((resolve) => {
      const interval = setInterval(() => {
        times += 1;
        if (times === 3) {
          clearInterval(interval);
          resolve();
        }
      }, 2);
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(times, 3);
    assert.deepEqual(seen.slice(2), ["now", "t5", "t20"]);
    assert.deepEqual(seen.slice(0, 2).sort(), ["micro", "tick"]);
    const begun = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 15));
    assert.ok(performance.now() - begun >= 14);
    assert.ok(Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 1000);
  },
  async "web crypto has digests, HMAC and chance"() {
    const hex = (buffer) => Buffer.from(buffer).toString("hex");
    const text = new TextEncoder().encode("abc");
    assert.equal(hex(await crypto.subtle.digest("SHA-1", text)), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert.equal(hex(await crypto.subtle.digest({ name: "sha-256" }, text)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert.match(hex(await crypto.subtle.digest("SHA-384", text)), /^cb00753f45a35e8b/);
    assert.match(hex(await crypto.subtle.digest("SHA-512", text)), /^ddaf35a193617aba/);
    const key = await crypto.subtle.importKey("raw", new TextEncoder().encode("key"), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
    const data = new TextEncoder().encode("The quick brown fox jumps over the lazy dog");
    const signature = await crypto.subtle.sign("HMAC", key, data);
    assert.equal(hex(signature), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    assert.equal(await crypto.subtle.verify("HMAC", key, signature, data), true);
    assert.equal(await crypto.subtle.verify("HMAC", key, signature, text), false);
    await assert.rejects(() => crypto.subtle.exportKey("raw", key), { name: "InvalidAccessError" });
    const made = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-512" }, true, ["sign"]);
    assert.equal((await crypto.subtle.exportKey("raw", made)).byteLength, 128);
    assert.equal((await crypto.subtle.exportKey("jwk", made)).alg, "HS512");
    assert.match(crypto.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.notEqual(crypto.randomUUID(), crypto.randomUUID());
    const values = crypto.getRandomValues(new Uint32Array(8));
    assert.ok(values.some((value) => value > 0));
    assert.throws(() => crypto.getRandomValues(new Uint8Array(65537)), { name: "QuotaExceededError" });
    assert.notEqual(Math.random(), Math.random());
  },
};
