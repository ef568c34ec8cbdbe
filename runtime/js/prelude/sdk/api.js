// How our SDK calls the runner's API: with the run's token, at TAGOIO_API.

import { API, environment } from "runner:environment";
import { fetch } from "runner:fetch";

/** Something that is addressed with a token. */
export class Client {
  #token;
  #api;
  constructor(params = {}) {
    if (typeof params !== "object" || params === null) throw new TypeError("the parameters are an object, such as { token }");
    const region = params.region;
    this.#token = params.token;
    this.#api = typeof region === "object" && region !== null ? region.api : undefined;
  }

  /** One call: the result, or the API's message, thrown as the text that it is. */
  async _call(method, path, { query, body } = {}) {
    const token = this.#token ?? environment.T_ANALYSIS_TOKEN;
    if (!token) throw new Error("there is no token: this run has none, so pass one, { token }");
    const base = this.#api ?? environment.TAGOIO_API ?? API;
    const asked = query === undefined ? "" : write(query);
    const response = await fetch(`${base}${path}${asked === "" ? "" : `?${asked}`}`, {
      method,
      headers: { token, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    let answer;
    try {
      answer = JSON.parse(text);
    } catch {
      throw text === "" ? `${response.status} ${response.statusText}` : text;
    }
    if (!response.ok || answer.status !== true) throw answer.message ?? answer.result ?? text;
    return answer.result;
  }
}
Object.defineProperty(Client.prototype, "_call", { enumerable: false });

/** A query in the notation of the API: filter[tags][0][key]=… */
function write(query) {
  const pairs = [];
  const add = (name, value) => {
    if (value === undefined || value === null) return;
    if (value instanceof Date) pairs.push([name, value.toISOString()]);
    else if (typeof value === "object") for (const key of Object.keys(value)) add(`${name}[${key}]`, value[key]);
    else pairs.push([name, String(value)]);
  };
  for (const key of Object.keys(query)) add(key, query[key]);
  return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
}

/** Makes dates of the fields that hold one. */
export function dated(object, fields) {
  if (typeof object !== "object" || object === null) return object;
  const made = { ...object };
  for (const field of fields) {
    const date = typeof made[field] === "string" ? new Date(made[field]) : null;
    // Some hold words instead, such as "never".
    if (date !== null && !Number.isNaN(date.getTime())) made[field] = date;
  }
  return made;
}

/** Answers what is asked of an object by a name that it does not have: with those that it has. */
export function closed(object, name) {
  return new Proxy(object, {
    get(target, key, receiver) {
      if (key in target || typeof key === "symbol" || key === "then" || key === "toJSON") {
        const value = Reflect.get(target, key, typeof target === "function" ? receiver : target);
        // Methods reach what is private to the object itself.
        return typeof value === "function" && typeof target === "object" && !Object.hasOwn(target, key) ? value.bind(target) : value;
      }
      throw new TypeError(`${name}.${key} is not here; there are ${members(target).join(", ")}`);
    },
  });
}

function members(object) {
  const names = new Set();
  for (let at = object; at !== null && at !== Object.prototype && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  return [...names].filter((name) => !name.startsWith("_") && !["constructor", "length", "name", "prototype"].includes(name)).sort();
}
