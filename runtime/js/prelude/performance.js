// performance.

import host from "runner:host";

/** Milliseconds since the run began. */
export function now() {
  return host.elapsed();
}

export const performance = {
  now,
  get timeOrigin() {
    return host.origin();
  },
  toJSON() {
    return { timeOrigin: host.origin() };
  },
};
Object.defineProperty(performance, Symbol.toStringTag, { value: "Performance" });
