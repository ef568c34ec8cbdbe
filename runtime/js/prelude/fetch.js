// fetch: one request after the other, where the answer is a redirect, over the engine's requests.

import host from "runner:host";
import { bytesOf } from "runner:buffer-source";
import { Request } from "runner:request";
import { BODILESS, received } from "runner:response";
import { ReadableStream } from "runner:stream";
import { URL } from "runner:url";

const REDIRECTS = [301, 302, 303, 307, 308];
const MOST = 20; // redirects that are followed

// Headers that speak of the body, and those that are not for another origin.
const OF_BODY = ["content-encoding", "content-language", "content-location", "content-type", "content-length"];
const OF_ORIGIN = ["authorization", "cookie", "proxy-authorization", "host"];

const exchanges = new Map();
let last = 0;

/** The network's errors, in the words that Node begins them with. */
function networkError(why) {
  return new TypeError(`fetch failed: ${why}`, { cause: new Error(why) });
}

/** One request and the head of its answer: its status, headers and body. */
function exchange(method, url, headers, bytes, signal) {
  return new Promise((resolve, reject) => {
    const id = ++last;
    const target = [method, url.protocol, url.host, `${url.pathname}${url.search}`];
    const why = host.send(id, target, headers.flat(), bytes);
    if (why !== undefined && why !== null) {
      reject(networkError(why));
      return;
    }
    const abort = () => {
      exchanges.delete(id);
      host.cancel(id);
      reject(signal.reason);
      open.controller?.error(signal.reason);
    };
    const open = { resolve, reject, controller: null, done: () => signal.removeEventListener("abort", abort) };
    exchanges.set(id, open);
    signal.addEventListener("abort", abort, { once: true });
  });
}

/** The engine has the head of an answer. */
export function head(id, status, flat) {
  const open = exchanges.get(id);
  if (open === undefined) return;
  const headers = [];
  for (let at = 0; at < flat.length; at += 2) headers.push([flat[at], flat[at + 1]]);
  const stream = new ReadableStream(
    {
      start(controller) {
        open.controller = controller;
      },
      pull() {
        return new Promise((resolve) => {
          open.next = resolve;
          host.pull(id);
        });
      },
      cancel() {
        exchanges.delete(id);
        open.done();
        host.cancel(id);
      },
    },
    { highWaterMark: 0 },
  );
  open.resolve({ status, headers, stream });
}

/** The engine has more of a body, or its end. */
export function chunk(id, bytes) {
  const open = exchanges.get(id);
  if (open === undefined) return;
  if (bytes === undefined || bytes === null) {
    exchanges.delete(id);
    open.done();
    open.controller.close();
  } else {
    open.controller.enqueue(bytes);
  }
  open.next?.();
}

/** A request failed. */
export function failed(id, why) {
  const open = exchanges.get(id);
  if (open === undefined) return;
  exchanges.delete(id);
  open.done();
  const error = networkError(why);
  if (open.controller === null) open.reject(error);
  else open.controller.error(error);
}

export async function fetch(input, init) {
  const request = new Request(input, init);
  request.signal.throwIfAborted();
  let url = new URL(request.url);
  let { method } = request;
  let headers = [...request.headers];
  let bytes = request._hasBody() ? bytesOf(await request._read()) : undefined;
  for (let hops = 0; ; hops++) {
    if (url.protocol !== "http:" && url.protocol !== "https:") {
      throw networkError(`only http: and https: URLs can be fetched, not ${url.protocol}`);
    }
    const answer = await exchange(method, url, defaults(headers, method, bytes), bytes, request.signal);
    const location = answer.headers.find(([name]) => name === "location")?.[1];
    if (!REDIRECTS.includes(answer.status) || location === undefined || request.redirect === "manual") {
      return respond(answer, method, url, hops > 0);
    }
    await answer.stream.cancel();
    if (request.redirect === "error") throw networkError(`${url.href} redirects, and this request does not follow`);
    if (hops === MOST) throw networkError(`there were more than ${MOST} redirects`);
    const next = URL.parse(location, url.href);
    if (next === null) throw networkError(`${url.href} redirects to what is no URL`);
    if (next.username !== "" || next.password !== "") throw networkError("the redirect holds a user name or a password");
    if (next.hash === "") next.hash = url.hash;
    const { status } = answer;
    if ((status === 303 && method !== "GET" && method !== "HEAD") || ((status === 301 || status === 302) && method === "POST")) {
      method = "GET";
      bytes = undefined;
      headers = headers.filter(([name]) => !OF_BODY.includes(name));
    }
    if (next.origin !== url.origin) headers = headers.filter(([name]) => !OF_ORIGIN.includes(name));
    url = next;
  }
}

/** Headers that every request has. */
function defaults(headers, method, bytes) {
  const all = headers.filter(([name]) => name !== "content-length");
  const add = (name, value) => {
    if (!all.some(([known]) => known === name)) all.push([name, value]);
  };
  add("accept", "*/*");
  add("user-agent", "runner");
  const length = bytes?.length ?? 0;
  if (length > 0 || ["POST", "PUT", "PATCH"].includes(method)) all.push(["content-length", String(length)]);
  return all;
}

function respond({ status, headers, stream }, method, url, redirected) {
  const bare = new URL(url.href);
  bare.hash = "";
  const without = method === "HEAD" || BODILESS.includes(status);
  if (without) stream.cancel();
  return received(status, headers, without ? null : stream, bare.href, redirected);
}
