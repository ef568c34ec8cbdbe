// Request.

import { AbortSignal } from "runner:abort";
import { Body, extract } from "runner:body";
import { Headers } from "runner:headers";
import { custom } from "runner:inspect";
import { URL } from "runner:url";

const STANDARD = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

function methodOf(method) {
  const text = String(method);
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)) throw new TypeError(`${JSON.stringify(text)} is no method`);
  const upper = text.toUpperCase();
  if (["CONNECT", "TRACE", "TRACK"].includes(upper)) throw new TypeError(`the method ${upper} cannot be sent`);
  return STANDARD.includes(upper) ? upper : text;
}

function urlOf(input) {
  let url;
  try {
    url = new URL(String(input));
  } catch {
    throw new TypeError(`Failed to parse URL from ${input}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("a URL for fetch() has no user name or password in it: send an Authorization header");
  }
  return url;
}

export class Request extends Body {
  #method;
  #url;
  #headers;
  #signal;
  #redirect;
  constructor(input, init = {}) {
    super();
    init ??= {};
    const from = input instanceof Request ? input : null;
    this.#url = from === null ? urlOf(input) : from.#url;
    this.#method = init.method !== undefined ? methodOf(init.method) : (from?.#method ?? "GET");
    this.#headers = new Headers(init.headers ?? from?.#headers);
    this.#redirect = init.redirect ?? from?.#redirect ?? "follow";
    if (!["follow", "manual", "error"].includes(this.#redirect)) {
      throw new TypeError(`redirect is "follow", "manual" or "error", not ${JSON.stringify(this.#redirect)}`);
    }
    const signal = init.signal !== undefined ? init.signal : from?.#signal;
    if (signal !== undefined && signal !== null && !(signal instanceof AbortSignal)) {
      throw new TypeError("a signal comes from an AbortController or AbortSignal");
    }
    this.#signal = AbortSignal.any(signal ? [signal] : []);
    const given = init.body !== undefined && init.body !== null;
    if (given && ["GET", "HEAD"].includes(this.#method)) throw new TypeError(`a ${this.#method} request has no body`);
    if (given) {
      const body = extract(init.body);
      this._setBody(body);
      if (body.type !== null && !this.#headers.has("content-type")) this.#headers.set("content-type", body.type);
    } else if (from !== null) {
      from._shareBody(this);
    }
  }
  get method() {
    return this.#method;
  }
  get url() {
    return this.#url.href;
  }
  get headers() {
    return this.#headers;
  }
  get signal() {
    return this.#signal;
  }
  get redirect() {
    return this.#redirect;
  }
  get credentials() {
    return "same-origin";
  }
  get mode() {
    return "cors";
  }
  get cache() {
    return "default";
  }
  get referrer() {
    return "about:client";
  }
  get integrity() {
    return "";
  }
  get keepalive() {
    return false;
  }
  get duplex() {
    return "half";
  }
  clone() {
    return new Request(this);
  }
  get [Symbol.toStringTag]() {
    return "Request";
  }
  [custom](depth, options, inspect) {
    const { method, url, headers, redirect } = this;
    return `Request ${inspect({ method, url, headers, redirect }, options)}`;
  }
}
