// AbortController and AbortSignal.

import { DOMException, Event, EventTarget } from "runner:event";
import { start } from "runner:timers";

const KEY = Symbol("made by the platform");

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason;
  onabort = null;
  constructor(key) {
    super();
    if (key !== KEY) throw new TypeError("an AbortSignal comes from an AbortController");
    Object.defineProperty(this, "onabort", { enumerable: false });
  }
  get aborted() {
    return this.#aborted;
  }
  get reason() {
    return this.#reason;
  }
  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }
  get [Symbol.toStringTag]() {
    return "AbortSignal";
  }

  static abort(reason) {
    const signal = new AbortSignal(KEY);
    end(signal, reason);
    return signal;
  }
  /** As in Node, a run does not wait for it. */
  static timeout(delay) {
    const number = Number(delay);
    if (!(number >= 0)) throw new TypeError("a timeout is a number of milliseconds");
    const signal = new AbortSignal(KEY);
    const expire = () => end(signal, new DOMException("The operation was aborted due to timeout", "TimeoutError"));
    start(expire, number, [], false, false);
    return signal;
  }
  static any(signals) {
    const all = [...signals];
    const signal = new AbortSignal(KEY);
    const done = all.find((one) => one.aborted);
    if (done !== undefined) {
      end(signal, done.reason);
      return signal;
    }
    for (const one of all) one.addEventListener("abort", () => end(signal, one.reason), { once: true });
    return signal;
  }

  static _end(signal, reason) {
    if (signal.#aborted) return;
    signal.#aborted = true;
    signal.#reason = reason === undefined ? new DOMException("This operation was aborted", "AbortError") : reason;
    signal.dispatchEvent(new Event("abort"));
  }
}
const end = AbortSignal._end;
delete AbortSignal._end;

export class AbortController {
  #signal = new AbortSignal(KEY);
  get signal() {
    return this.#signal;
  }
  abort(reason) {
    end(this.#signal, reason);
  }
  get [Symbol.toStringTag]() {
    return "AbortController";
  }
}
