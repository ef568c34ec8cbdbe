// Response.

import host from "runner:host";
import { Body, extract } from "runner:body";
import { Headers } from "runner:headers";
import { custom } from "runner:inspect";
import { URL } from "runner:url";

/** Statuses that come without a body. */
export const BODILESS = [101, 103, 204, 205, 304];

const PHRASES = {
  200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content", 205: "Reset Content",
  206: "Partial Content", 207: "Multi-Status", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other",
  304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
  402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
  408: "Request Timeout", 409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed",
  413: "Payload Too Large", 414: "URI Too Long", 415: "Unsupported Media Type", 417: "Expectation Failed", 418: "I'm a Teapot",
  422: "Unprocessable Entity", 423: "Locked", 425: "Too Early", 426: "Upgrade Required", 428: "Precondition Required",
  429: "Too Many Requests", 431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
  500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
  507: "Insufficient Storage",
};

/** The words that go with a status: the host passes on only the number. */
export function phrase(status) {
  return PHRASES[status] ?? "";
}

export class Response extends Body {
  #status;
  #statusText;
  #headers;
  #url = "";
  #redirected = false;
  #type = "default";
  constructor(body = null, init = {}) {
    super();
    init ??= {};
    this.#status = init.status === undefined ? 200 : Number(init.status);
    if (!Number.isInteger(this.#status) || this.#status < 200 || this.#status > 599) {
      throw new RangeError(`a response has a status from 200 to 599, not ${init.status}`);
    }
    this.#statusText = String(init.statusText ?? "");
    this.#headers = new Headers(init.headers);
    if (body === null || body === undefined) return;
    if (BODILESS.includes(this.#status)) throw new TypeError(`a response with status ${this.#status} has no body`);
    const taken = extract(body);
    this._setBody(taken);
    if (taken.type !== null && !this.#headers.has("content-type")) this.#headers.set("content-type", taken.type);
  }
  get status() {
    return this.#status;
  }
  get statusText() {
    return this.#statusText;
  }
  get ok() {
    return this.#status >= 200 && this.#status < 300;
  }
  get headers() {
    return this.#headers;
  }
  get url() {
    return this.#url;
  }
  get redirected() {
    return this.#redirected;
  }
  get type() {
    return this.#type;
  }
  clone() {
    const copy = new Response(null, { headers: this.#headers });
    copy.#status = this.#status;
    copy.#statusText = this.#statusText;
    copy.#url = this.#url;
    copy.#redirected = this.#redirected;
    copy.#type = this.#type;
    this._shareBody(copy);
    return copy;
  }
  get [Symbol.toStringTag]() {
    return "Response";
  }
  [custom](depth, options, inspect) {
    const { status, statusText, headers, ok, redirected, url, bodyUsed } = this;
    return `Response ${inspect({ status, statusText, headers, ok, redirected, url, bodyUsed }, options)}`;
  }

  static error() {
    const response = new Response();
    response.#status = 0;
    response.#type = "error";
    return response;
  }
  static json(value, init = {}) {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError("the value cannot be written as JSON");
    const response = new Response(host.encodeUtf8(text), init);
    if (!response.#headers.has("content-type")) response.#headers.set("content-type", "application/json");
    return response;
  }
  static redirect(url, status = 302) {
    if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`${status} is no status of a redirect`);
    return new Response(null, { status, headers: { location: new URL(String(url)).href } });
  }

  /** What came over the network. */
  static _received(status, headers, stream, url, redirected) {
    const response = new Response(null, { headers });
    response.#status = status;
    response.#statusText = phrase(status);
    response.#url = url;
    response.#redirected = redirected;
    response.#type = "basic";
    response._setBody({ bytes: null, stream });
    return response;
  }
}
export const received = Response._received;
delete Response._received;
