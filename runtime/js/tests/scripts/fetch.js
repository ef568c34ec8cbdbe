import assert from "node:assert/strict";

const { PORT } = process.env; // so these tests run once per run, after the top level
const at = (path, name = "echo") => `http://${name}.test:${PORT}${path}`;
const echo = async (...request) => (await fetch(...request)).json();

const tests = {
  async "requests carry their method, headers and bodies"() {
    const plain = await echo(at("/a?b=1#c"));
    assert.equal(plain.method, "GET");
    assert.equal(plain.url, "/a?b=1");
    assert.equal(plain.headers.accept, "*/*");
    assert.equal(plain.headers["user-agent"], "runner");
    const posted = await echo(at("/"), { method: "POST", body: "grüße", headers: { "X-Own": "1", token: "t" } });
    assert.equal(posted.body, "grüße");
    assert.equal(posted.headers["content-type"], "text/plain;charset=UTF-8");
    assert.equal(posted.headers["content-length"], "7");
    assert.equal(posted.headers["x-own"], "1");
    assert.equal((await echo(at("/"), { method: "PUT", body: new URLSearchParams({ a: "b c" }) })).body, "a=b+c");
    assert.equal((await echo(at("/"), { method: "POST", body: new Uint8Array([104, 105]).buffer })).body, "hi");
    assert.equal((await echo(at("/"), { method: "POST", body: new Blob(["blob"]) })).body, "blob");
    assert.equal((await echo(at("/"), { method: "POST", body: ReadableStream.from(["a", "b"]), duplex: "half" })).body, "ab");
    assert.equal((await echo(new Request(at("/"), { method: "PATCH", body: "x" }))).method, "PATCH");
    const form = new FormData();
    form.set("k", "v");
    assert.match((await echo(at("/"), { method: "POST", body: form })).body, /name="k"\r\n\r\nv\r\n/);
    assert.equal((await echo(at("/"), { method: "DELETE" })).method, "DELETE");
  },
  async "answers have their status, headers and bodies"() {
    const response = await fetch(at("/status/404"));
    assert.deepEqual([response.ok, response.status, response.statusText, response.url], [false, 404, "Not Found", at("/status/404")]);
    assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
    const large = await (await fetch(at("/bytes/300000"))).bytes();
    assert.equal(large.length, 300000);
    assert.ok(large.every((byte) => byte === 7));
    const streamed = await fetch(at("/bytes/200000"));
    let length = 0;
    for await (const chunk of streamed.body) length += chunk.length;
    assert.equal(length, 200000);
    assert.equal(await (await fetch(at("/status/204"))).text(), "");
    assert.equal(await (await fetch(at("/"), { method: "HEAD" })).text(), "");
    const large2 = await echo(at("/"), { method: "POST", body: "x".repeat(500000) });
    assert.equal(large2.body.length, 500000);
    const copy = await fetch(at("/"));
    assert.equal(await copy.clone().text(), await copy.text());
  },
  async "requests run beside each other"() {
    const begun = Date.now();
    await Promise.all([1, 2, 3, 4].map(() => fetch(at("/wait/150"))));
    assert.ok(Date.now() - begun < 500, `${Date.now() - begun} ms`);
  },
  async "redirects are followed as the standard says"() {
    const got = await fetch(at("/redirect/302/next"));
    assert.deepEqual([got.redirected, got.url, (await got.json()).url], [true, at("/next"), "/next"]);
    const post = { method: "POST", body: "b", headers: { authorization: "A", "x-own": "1" } };
    const changed = await echo(at("/redirect/303/next"), post);
    assert.deepEqual([changed.method, changed.body, changed.headers["content-type"], changed.headers.authorization], ["GET", "", undefined, "A"]);
    const kept = await echo(at("/redirect/307/next"), post);
    assert.deepEqual([kept.method, kept.body], ["POST", "b"]);
    const other = await echo(at(`/redirect/307/${at("/x", "other")}`), post);
    assert.deepEqual([other.url, other.headers.host, other.headers.authorization, other.headers["x-own"], other.body], ["/x", `other.test:${PORT}`, undefined, "1", "b"]);
    const manual = await fetch(at("/redirect/301/next"), { redirect: "manual" });
    assert.deepEqual([manual.status, manual.headers.get("location")], [301, "/next"]);
    await assert.rejects(fetch(at("/redirect/301/next"), { redirect: "error" }), TypeError);
    await assert.rejects(fetch(at(`/${"redirect/302/".repeat(25)}`)), /more than 20 redirects/);
    await assert.rejects(fetch(at(`/redirect/302/${at("/x", "denied")}`)), /no policy allows this analysis network access to http:\/\/denied\.test/);
  },
  async "what fails says why"() {
    const denied = await fetch(at("/", "denied")).catch((error) => error);
    assert.equal(denied instanceof TypeError, true);
    assert.match(denied.message, /^fetch failed: no policy allows this analysis network access to http:\/\/denied\.test/);
    assert.match(denied.cause.message, /denied\.test/);
    await assert.rejects(fetch("http://refused.test:1/"), /the connection was refused/);
    await assert.rejects(fetch("ftp://echo.test/"), /only http: and https:/);
    await assert.rejects(fetch("/relative"), /Failed to parse URL/);
    await assert.rejects(fetch("http://user:pass@echo.test/"), TypeError);
    await assert.rejects(fetch(at("/"), { method: "CONNECT" }), TypeError);
    await assert.rejects(fetch(at("/"), { headers: { "a b": "c" } }), TypeError);
    await assert.rejects(fetch(at("/"), { body: "x" }), TypeError);
  },
  async "requests are aborted"() {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 10);
    const begun = Date.now();
    await assert.rejects(fetch(at("/wait/3000"), { signal: controller.signal }), { name: "AbortError" });
    await assert.rejects(fetch(at("/wait/3000"), { signal: AbortSignal.timeout(10) }), { name: "TimeoutError" });
    await assert.rejects(fetch(at("/wait/3000"), { signal: AbortSignal.abort(new Error("mine")) }), /mine/);
    assert.ok(Date.now() - begun < 1500);
    const late = new AbortController();
    const response = await fetch(at("/bytes/300000"), { signal: late.signal });
    late.abort();
    await assert.rejects(response.text(), { name: "AbortError" });
  },
};
