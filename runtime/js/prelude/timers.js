// Timers. When they are due is the engine's business; what they do stands here.

import host from "runner:host";
import { custom } from "runner:inspect";

const LONGEST = 2 ** 31 - 1; // of a delay, in milliseconds, as everywhere
const timers = new Map();
let last = 0;

class Timeout {
  #id;
  #held = true;
  constructor(id) {
    this.#id = id;
  }
  ref() {
    return this.#hold(true);
  }
  unref() {
    return this.#hold(false);
  }
  hasRef() {
    return this.#held;
  }
  refresh() {
    const timer = timers.get(this.#id);
    if (timer !== undefined) host.setTimer(this.#id, timer.delay, this.#held);
    return this;
  }
  close() {
    stop(this.#id);
    return this;
  }
  #hold(held) {
    this.#held = held;
    const timer = timers.get(this.#id);
    if (timer !== undefined) {
      timer.held = held;
      host.holdTimer(this.#id, held);
    }
    return this;
  }
  [Symbol.toPrimitive]() {
    return this.#id;
  }
  [Symbol.dispose]() {
    stop(this.#id);
  }
  [custom]() {
    return `Timeout (${this.#id})`;
  }
}

/** Sets a timer. One that is not held does not keep a run from ending. */
export function start(callback, delay, args, repeat, held = true) {
  if (typeof callback !== "function") throw new TypeError("a timer needs a function to call");
  const id = ++last;
  host.setTimer(id, delay, held);
  timers.set(id, { callback, args, delay, repeat, held });
  return id;
}

/** Takes a timer back. */
export function stop(id) {
  if (timers.delete(id)) host.clearTimer(id);
}

function delayOf(delay) {
  const number = Math.trunc(Number(delay));
  return number >= 1 && number <= LONGEST ? number : 1;
}

function clear(handle) {
  if (handle !== undefined && handle !== null) stop(Number(handle));
}

export function setTimeout(callback, delay, ...args) {
  return new Timeout(start(callback, delayOf(delay), args, false));
}

export function setInterval(callback, delay, ...args) {
  return new Timeout(start(callback, delayOf(delay), args, true));
}

export function setImmediate(callback, ...args) {
  return new Timeout(start(callback, 0, args, false));
}

export { clear as clearImmediate, clear as clearInterval, clear as clearTimeout };

export function queueMicrotask(callback) {
  if (typeof callback !== "function") throw new TypeError("a microtask needs a function to call");
  // Through a promise: an error in it then ends the run, as any other does.
  Promise.resolve().then(() => {
    callback();
  });
}

/** The engine says that a timer is due. */
export function fire(id) {
  const timer = timers.get(id);
  if (timer === undefined) return;
  if (timer.repeat) host.setTimer(id, timer.delay, timer.held);
  else timers.delete(id);
  timer.callback(...timer.args);
}
