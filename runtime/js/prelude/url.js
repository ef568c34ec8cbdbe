// URL and URLSearchParams. The parsing is the engine's.

import host from "runner:host";
import { custom } from "runner:inspect";

const HREF = 0;
const PROTOCOL = 1;
const USERNAME = 2;
const PASSWORD = 3;
const HOST = 4;
const HOSTNAME = 5;
const PORT = 6;
const PATHNAME = 7;
const SEARCH = 8;
const HASH = 9;
const ORIGIN = 10;

export class URL {
  #parts;
  #params;
  constructor(url, base) {
    if (arguments.length === 0) throw new TypeError("a URL needs text to parse");
    this.#parts = host.parseUrl(String(url), base === undefined ? undefined : String(base));
    if (this.#parts === undefined || this.#parts === null) {
      const error = new TypeError("Invalid URL");
      error.code = "ERR_INVALID_URL";
      error.input = String(url);
      throw error;
    }
  }
  #change(part, value) {
    const parts = host.changeUrl(this.#parts[HREF], part, String(value));
    if (parts) this.#parts = parts;
    if (part === "search" && this.#params !== undefined) refill(this.#params, this.#parts[SEARCH]);
  }
  get href() {
    return this.#parts[HREF];
  }
  set href(value) {
    const parts = host.parseUrl(String(value), undefined);
    if (!parts) throw new TypeError("Invalid URL");
    this.#parts = parts;
    if (this.#params !== undefined) refill(this.#params, parts[SEARCH]);
  }
  get origin() {
    return this.#parts[ORIGIN];
  }
  get protocol() {
    return this.#parts[PROTOCOL];
  }
  set protocol(value) {
    this.#change("protocol", value);
  }
  get username() {
    return this.#parts[USERNAME];
  }
  set username(value) {
    this.#change("username", value);
  }
  get password() {
    return this.#parts[PASSWORD];
  }
  set password(value) {
    this.#change("password", value);
  }
  get host() {
    return this.#parts[HOST];
  }
  set host(value) {
    this.#change("host", value);
  }
  get hostname() {
    return this.#parts[HOSTNAME];
  }
  set hostname(value) {
    this.#change("hostname", value);
  }
  get port() {
    return this.#parts[PORT];
  }
  set port(value) {
    this.#change("port", value);
  }
  get pathname() {
    return this.#parts[PATHNAME];
  }
  set pathname(value) {
    this.#change("pathname", value);
  }
  get search() {
    return this.#parts[SEARCH];
  }
  set search(value) {
    this.#change("search", value);
  }
  get hash() {
    return this.#parts[HASH];
  }
  set hash(value) {
    this.#change("hash", value);
  }
  get searchParams() {
    if (this.#params === undefined) {
      this.#params = new URLSearchParams(this.#parts[SEARCH]);
      watch(this.#params, (text) => {
        this.#parts = host.changeUrl(this.#parts[HREF], "search", text) ?? this.#parts;
      });
    }
    return this.#params;
  }
  toString() {
    return this.href;
  }
  toJSON() {
    return this.href;
  }
  static canParse(url, base) {
    return Boolean(host.parseUrl(String(url), base === undefined ? undefined : String(base)));
  }
  static parse(url, base) {
    return URL.canParse(url, base) ? new URL(url, base) : null;
  }
  [custom](depth, options, inspect) {
    if (depth < 0) return "[URL]";
    const names = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "searchParams", "hash"];
    return `URL ${inspect(Object.fromEntries(names.map((name) => [name, this[name]])), options)}`;
  }
}

export class URLSearchParams {
  #pairs = [];
  #changed;
  constructor(init = "") {
    if (typeof init === "object" && init !== null && typeof init[Symbol.iterator] === "function") {
      for (const pair of init) {
        const [name, value, ...rest] = pair;
        if (value === undefined || rest.length > 0) throw new TypeError("each pair has a name and a value");
        this.#pairs.push([String(name), String(value)]);
      }
    } else if (typeof init === "object" && init !== null) {
      for (const name of Object.keys(init)) this.#pairs.push([name, String(init[name])]);
    } else {
      this.#fill(String(init));
    }
  }
  #fill(text) {
    const flat = host.parseForm(text.startsWith("?") ? text.slice(1) : text);
    this.#pairs = [];
    for (let at = 0; at < flat.length; at += 2) this.#pairs.push([flat[at], flat[at + 1]]);
  }
  #tell() {
    this.#changed?.(this.toString());
  }
  get size() {
    return this.#pairs.length;
  }
  append(name, value) {
    this.#pairs.push([String(name), String(value)]);
    this.#tell();
  }
  delete(name, value) {
    const matches = (pair) => pair[0] === String(name) && (value === undefined || pair[1] === String(value));
    this.#pairs = this.#pairs.filter((pair) => !matches(pair));
    this.#tell();
  }
  get(name) {
    return this.#pairs.find((pair) => pair[0] === String(name))?.[1] ?? null;
  }
  getAll(name) {
    return this.#pairs.filter((pair) => pair[0] === String(name)).map((pair) => pair[1]);
  }
  has(name, value) {
    return this.#pairs.some((pair) => pair[0] === String(name) && (value === undefined || pair[1] === String(value)));
  }
  set(name, value) {
    const at = this.#pairs.findIndex((pair) => pair[0] === String(name));
    if (at < 0) {
      this.#pairs.push([String(name), String(value)]);
    } else {
      this.#pairs[at][1] = String(value);
      this.#pairs = this.#pairs.filter((pair, place) => place <= at || pair[0] !== String(name));
    }
    this.#tell();
  }
  sort() {
    this.#pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    this.#tell();
  }
  forEach(callback, self) {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }
  *entries() {
    for (const [name, value] of this.#pairs) yield [name, value];
  }
  *keys() {
    for (const [name] of this.#pairs) yield name;
  }
  *values() {
    for (const [, value] of this.#pairs) yield value;
  }
  [Symbol.iterator]() {
    return this.entries();
  }
  toString() {
    return host.writeForm(this.#pairs.flat());
  }
  get [Symbol.toStringTag]() {
    return "URLSearchParams";
  }
  [custom](depth, options, inspect) {
    const pairs = this.#pairs.map(([name, value]) => `${inspect(name)} => ${inspect(value)}`);
    return pairs.length === 0 ? "URLSearchParams {}" : `URLSearchParams { ${pairs.join(", ")} }`;
  }

  static _refill(params, text) {
    params.#fill(text);
  }
  static _watch(params, changed) {
    params.#changed = changed;
  }
}
const refill = URLSearchParams._refill;
const watch = URLSearchParams._watch;
delete URLSearchParams._refill;
delete URLSearchParams._watch;
