// Events, their targets, and the errors that the web's APIs throw.

const defaultPassive = false;

class DomError extends Error {
  #name;
  constructor(message = "", options = "Error") {
    super(message);
    this.#name = typeof options === "object" && options !== null ? String(options.name ?? "Error") : String(options);
    if (typeof options === "object" && options !== null && "cause" in options) this.cause = options.cause;
  }
  get name() {
    return this.#name;
  }
  get code() {
    return { AbortError: 20, TimeoutError: 23, DataCloneError: 25, InvalidCharacterError: 5, InvalidStateError: 11 }[this.#name] ?? 0;
  }
}
Object.defineProperty(DomError, "name", { value: "DOMException" });

export const DOMException = globalThis.DOMException ?? DomError;

export class Event {
  #type;
  #options;
  #target = null;
  #stopped = false;
  #prevented = false;
  #time = 0;
  constructor(type, options = {}) {
    if (arguments.length === 0) throw new TypeError("an event needs a type");
    this.#type = String(type);
    this.#options = options ?? {};
  }
  get type() {
    return this.#type;
  }
  get target() {
    return this.#target;
  }
  get currentTarget() {
    return this.#target;
  }
  get srcElement() {
    return this.#target;
  }
  get bubbles() {
    return Boolean(this.#options.bubbles);
  }
  get cancelable() {
    return Boolean(this.#options.cancelable);
  }
  get composed() {
    return Boolean(this.#options.composed);
  }
  get defaultPrevented() {
    return this.#prevented;
  }
  get timeStamp() {
    return this.#time;
  }
  preventDefault() {
    if (this.cancelable) this.#prevented = true;
  }
  stopPropagation() {}
  stopImmediatePropagation() {
    this.#stopped = true;
  }
  composedPath() {
    return this.#target === null ? [] : [this.#target];
  }

  /** Hands an event to listeners, one after the other. */
  static _deliver(event, target, listeners) {
    event.#target = target;
    event.#stopped = false;
    for (const listener of [...listeners]) {
      if (event.#stopped) break;
      if (listener.removed) continue;
      if (listener.once) target.removeEventListener(event.type, listener.callback);
      try {
        if (typeof listener.callback === "function") listener.callback.call(target, event);
        else listener.callback.handleEvent(event);
      } catch (error) {
        // An error of one listener concerns neither the others nor who sent the event.
        Promise.reject(error);
      }
    }
    return !event.#prevented;
  }
}
const deliver = Event._deliver;
delete Event._deliver;

export class CustomEvent extends Event {
  #detail;
  constructor(type, options = {}) {
    super(type, options);
    this.#detail = options?.detail ?? null;
  }
  get detail() {
    return this.#detail;
  }
}

export class EventTarget {
  #listeners = new Map();
  addEventListener(type, callback, options = defaultPassive) {
    if (callback === null || callback === undefined) return;
    if (typeof callback !== "function" && typeof callback !== "object") throw new TypeError("a listener is a function");
    const { once = false, signal } = typeof options === "object" && options !== null ? options : {};
    if (signal?.aborted) return;
    const known = this.#listeners.get(type) ?? [];
    if (known.some((listener) => listener.callback === callback)) return;
    this.#listeners.set(type, [...known, { callback, once, removed: false }]);
    signal?.addEventListener("abort", () => this.removeEventListener(type, callback), { once: true });
  }
  removeEventListener(type, callback) {
    const known = this.#listeners.get(type) ?? [];
    for (const listener of known) if (listener.callback === callback) listener.removed = true;
    this.#listeners.set(type, known.filter((listener) => !listener.removed));
  }
  dispatchEvent(event) {
    if (!(event instanceof Event)) throw new TypeError("what is dispatched has to be an Event");
    const handler = this[`on${event.type}`];
    const listeners = this.#listeners.get(event.type) ?? [];
    const all = typeof handler === "function" ? [{ callback: handler }, ...listeners] : listeners;
    return deliver(event, this, all);
  }
}
