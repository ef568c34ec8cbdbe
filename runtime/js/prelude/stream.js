// ReadableStream, with its default reader. There are no byte readers, pipes or other streams.

export class ReadableStream {
  #source;
  #controller;
  #queue = [];
  #waiting = [];
  #state = "readable";
  #error;
  #closing = false;
  #pulling = false;
  #again = false;
  #started = false;
  #reader = null;

  constructor(source = {}, strategy = {}) {
    this.#source = source ?? {};
    const limit = strategy?.highWaterMark ?? 1;
    const stream = this;
    this.#controller = {
      get desiredSize() {
        return stream.#state === "errored" ? null : stream.#state === "closed" ? 0 : limit - stream.#queue.length;
      },
      enqueue(chunk) {
        if (stream.#state !== "readable" || stream.#closing) throw new TypeError("the stream is closed");
        const next = stream.#waiting.shift();
        if (next !== undefined) next.resolve({ value: chunk, done: false });
        else stream.#queue.push(chunk);
        stream.#pull();
      },
      close() {
        if (stream.#state !== "readable" || stream.#closing) throw new TypeError("the stream is closed");
        stream.#closing = true;
        if (stream.#queue.length === 0) stream.#close();
      },
      error(reason) {
        stream.#fail(reason);
      },
    };
    const begun = this.#source.start?.(this.#controller);
    Promise.resolve(begun).then(
      () => {
        this.#started = true;
        this.#pull();
      },
      (reason) => this.#fail(reason),
    );
  }

  #pull() {
    if (!this.#started || this.#state !== "readable" || this.#closing || this.#source.pull === undefined) return;
    if (this.#waiting.length === 0 && !(this.#controller.desiredSize > 0)) return;
    if (this.#pulling) {
      this.#again = true;
      return;
    }
    this.#pulling = true;
    Promise.resolve()
      .then(() => this.#source.pull(this.#controller))
      .then(
        () => {
          this.#pulling = false;
          if (this.#again) {
            this.#again = false;
            this.#pull();
          }
        },
        (reason) => this.#fail(reason),
      );
  }

  #close() {
    this.#state = "closed";
    for (const next of this.#waiting.splice(0)) next.resolve({ value: undefined, done: true });
    this.#reader?.settle();
  }

  #fail(reason) {
    if (this.#state !== "readable") return;
    this.#state = "errored";
    this.#error = reason;
    this.#queue = [];
    for (const next of this.#waiting.splice(0)) next.reject(reason);
    this.#reader?.settle(reason);
  }

  #read() {
    if (this.#queue.length > 0) {
      const value = this.#queue.shift();
      if (this.#closing && this.#queue.length === 0) this.#close();
      else this.#pull();
      return Promise.resolve({ value, done: false });
    }
    if (this.#state === "errored") return Promise.reject(this.#error);
    if (this.#state === "closed") return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#pull();
    });
  }

  async #cancel(reason) {
    if (this.#state === "errored") throw this.#error;
    if (this.#state === "closed") return;
    this.#queue = [];
    this.#close();
    await this.#source.cancel?.(reason);
  }

  get locked() {
    return this.#reader !== null;
  }

  cancel(reason) {
    if (this.locked) return Promise.reject(new TypeError("the stream is locked to a reader"));
    return this.#cancel(reason);
  }

  getReader(options = {}) {
    if (options?.mode !== undefined) throw new TypeError("there are only default readers here: getReader() without a mode");
    if (this.locked) throw new TypeError("the stream is locked to a reader");
    const stream = this;
    const closed = Promise.withResolvers();
    // Nobody has to ask for it.
    closed.promise.catch(() => {});
    let held = true;
    const check = () => {
      if (!held) throw new TypeError("the reader was released");
    };
    this.#reader = {
      settle(reason) {
        if (reason === undefined) closed.resolve();
        else closed.reject(reason);
      },
    };
    if (this.#state === "closed") closed.resolve();
    if (this.#state === "errored") closed.reject(this.#error);
    return {
      closed: closed.promise,
      async read() {
        check();
        return stream.#read();
      },
      async cancel(reason) {
        check();
        return stream.#cancel(reason);
      },
      releaseLock() {
        if (!held) return;
        held = false;
        stream.#reader = null;
        for (const next of stream.#waiting.splice(0)) next.reject(new TypeError("the reader was released"));
      },
    };
  }

  tee() {
    const reader = this.getReader();
    const controllers = [];
    let reading = false;
    const pull = async () => {
      if (reading) return;
      reading = true;
      try {
        const { value, done } = await reader.read();
        for (const controller of controllers) {
          if (controller === null) continue;
          if (done) controller.close();
          else controller.enqueue(value);
        }
      } catch (reason) {
        for (const controller of controllers) controller?.error(reason);
      } finally {
        reading = false;
      }
    };
    const branch = (at) =>
      new ReadableStream({
        start(controller) {
          controllers[at] = controller;
        },
        pull,
        cancel(reason) {
          controllers[at] = null;
          return controllers.every((controller) => controller === null) ? reader.cancel(reason) : undefined;
        },
      });
    return [branch(0), branch(1)];
  }

  async *values(options = {}) {
    const reader = this.getReader();
    let done = false;
    try {
      for (;;) {
        const next = await reader.read();
        if (next.done) {
          done = true;
          return;
        }
        yield next.value;
      }
    } finally {
      if (!done && !options?.preventCancel) await reader.cancel();
      reader.releaseLock();
    }
  }

  [Symbol.asyncIterator](options) {
    return this.values(options);
  }

  static from(iterable) {
    const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]();
    return new ReadableStream({
      async pull(controller) {
        const { value, done } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel(reason) {
        await iterator.return?.(reason);
      },
    });
  }

  get [Symbol.toStringTag]() {
    return "ReadableStream";
  }
}
