// node:timers/promises.

import { start, stop } from "runner:timers";

function wait(delay, value, { signal, ref = true } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const id = start(() => resolve(value), Math.max(Number(delay) || 1, 0), [], false, ref);
    signal?.addEventListener("abort", () => {
      stop(id);
      reject(signal.reason);
    });
  });
}

export { wait as setTimeout };
export const setImmediate = (value, options) => wait(0, value, options);
export async function* setInterval(delay, value, options) {
  for (;;) yield await wait(delay, value, options);
}
export const scheduler = { wait: (delay, options) => wait(delay, undefined, options), yield: () => wait(0) };
export default { scheduler, setImmediate, setInterval, setTimeout: wait };
