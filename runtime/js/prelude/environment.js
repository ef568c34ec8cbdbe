// process.env: the environment of the run, read when a script first looks at it.

import host from "runner:host";

/** The runner's own API, under a name that is answered without leaving the runner. */
export const API = "http://runner.internal";

const values = {};
let filled = false;

function set(key, value, enumerable = true) {
  Object.defineProperty(values, key, { value, writable: true, enumerable, configurable: true });
}

/** The entries as TagoIO writes them: an array of {key, value}. */
export function entries() {
  const flat = host.environment();
  const list = [];
  for (let at = 0; at < flat.length; at += 2) list.push({ key: flat[at], value: flat[at + 1] });
  return list;
}

function fill() {
  host.touchEnvironment();
  if (filled || !host.running()) return;
  filled = true;
  const list = entries();
  for (const { key, value } of list) set(key, value);
  const [analysis, , token] = host.context();
  set("T_ANALYSIS_CONTEXT", "tago-io");
  // Whoever prints all of process.env would print it escaped twice, in which no secret is masked.
  set("T_ANALYSIS_ENV", JSON.stringify(list), false);
  set("T_ANALYSIS_DATA", host.scope());
  set("T_ANALYSIS_TOKEN", token);
  set("T_ANALYSIS_ID", analysis);
  set("TAGOIO_API", API);
}

/** A reference to it may be kept: only looking into it counts as touching the environment. */
export const environment = new Proxy(values, {
  get(target, key) {
    fill();
    return target[key];
  },
  set(target, key, value) {
    fill();
    if (typeof key === "symbol") throw new TypeError("an environment variable has a name that is text");
    set(key, String(value));
    return true;
  },
  has(target, key) {
    fill();
    return key in target;
  },
  deleteProperty(target, key) {
    fill();
    return delete target[key];
  },
  ownKeys(target) {
    fill();
    return Reflect.ownKeys(target);
  },
  getOwnPropertyDescriptor(target, key) {
    fill();
    return Reflect.getOwnPropertyDescriptor(target, key);
  },
  defineProperty(target, key, descriptor) {
    fill();
    set(key, String(descriptor.value));
    return true;
  },
});
