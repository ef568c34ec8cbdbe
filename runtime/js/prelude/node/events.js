// node:events.

const LISTENERS = Symbol("listeners");
const MOST = Symbol("most listeners");

/** A function and not a class, because classes of old call it on their own objects. */
export function EventEmitter() {}

class Methods {
  get _listeners() {
    if (!Object.hasOwn(this, LISTENERS)) Object.defineProperty(this, LISTENERS, { value: new Map() });
    return this[LISTENERS];
  }
  _add(name, listener, once, first) {
    if (typeof listener !== "function") throw new TypeError("a listener is a function");
    if (name !== "newListener" && this._listeners.has("newListener")) this.emit("newListener", name, listener);
    const known = this._listeners.get(name) ?? [];
    const entry = { listener, once };
    this._listeners.set(name, first ? [entry, ...known] : [...known, entry]);
    return this;
  }
  on(name, listener) {
    return this._add(name, listener, false, false);
  }
  addListener(name, listener) {
    return this.on(name, listener);
  }
  once(name, listener) {
    return this._add(name, listener, true, false);
  }
  prependListener(name, listener) {
    return this._add(name, listener, false, true);
  }
  prependOnceListener(name, listener) {
    return this._add(name, listener, true, true);
  }
  off(name, listener) {
    const known = this._listeners.get(name) ?? [];
    const at = known.findLastIndex((entry) => entry.listener === listener);
    if (at >= 0) {
      const left = known.toSpliced(at, 1);
      if (left.length > 0) this._listeners.set(name, left);
      else this._listeners.delete(name);
      if (this._listeners.has("removeListener")) this.emit("removeListener", name, listener);
    }
    return this;
  }
  removeListener(name, listener) {
    return this.off(name, listener);
  }
  removeAllListeners(name) {
    if (name === undefined) this._listeners.clear();
    else this._listeners.delete(name);
    return this;
  }
  emit(name, ...values) {
    const known = this._listeners.get(name) ?? [];
    if (known.length === 0) {
      if (name !== "error") return false;
      throw values[0] instanceof Error ? values[0] : new Error(`Unhandled error. (${values[0]})`);
    }
    for (const { listener, once } of known) {
      if (once) this.off(name, listener);
      listener.apply(this, values);
    }
    return true;
  }
  listeners(name) {
    return (this._listeners.get(name) ?? []).map((entry) => entry.listener);
  }
  rawListeners(name) {
    return this.listeners(name);
  }
  listenerCount(name) {
    return this.listeners(name).length;
  }
  eventNames() {
    return [...this._listeners.keys()];
  }
  setMaxListeners(most) {
    Object.defineProperty(this, MOST, { value: most, configurable: true });
    return this;
  }
  getMaxListeners() {
    return this[MOST] ?? EventEmitter.defaultMaxListeners;
  }
}
for (const name of Reflect.ownKeys(Methods.prototype)) {
  if (name === "constructor") continue;
  Object.defineProperty(EventEmitter.prototype, name, Object.getOwnPropertyDescriptor(Methods.prototype, name));
}
EventEmitter.defaultMaxListeners = 10;

/** A promise of the next event of a name. */
export function once(emitter, name) {
  return new Promise((resolve, reject) => {
    if (typeof emitter.addEventListener === "function") {
      emitter.addEventListener(name, (event) => resolve([event]), { once: true });
      return;
    }
    const failed = (error) => {
      emitter.off(name, done);
      reject(error);
    };
    const done = (...values) => {
      emitter.off("error", failed);
      resolve(values);
    };
    emitter.once(name, done);
    if (name !== "error") emitter.once("error", failed);
  });
}

EventEmitter.EventEmitter = EventEmitter;
EventEmitter.once = once;
export default EventEmitter;
