// Makes the global object what scripts expect to find, and hands the engine its hooks.

import host from "runner:host";
import { AbortController, AbortSignal } from "runner:abort";
import { Blob, File } from "runner:blob";
import { Buffer } from "runner:buffer";
import { structuredClone } from "runner:clone";
import { console } from "runner:console";
import { CryptoKey, crypto } from "runner:crypto";
import { TextDecoder, TextEncoder } from "runner:encoding";
import { CustomEvent, DOMException, Event, EventTarget } from "runner:event";
import { fetch } from "runner:fetch";
import { FormData } from "runner:form";
import { Headers } from "runner:headers";
import { performance } from "runner:performance";
import { process } from "runner:process";
import { Request } from "runner:request";
import { Response } from "runner:response";
import { ReadableStream } from "runner:stream";
import * as timers from "runner:timers";
import { URL, URLSearchParams } from "runner:url";

export { begin } from "runner:context";
export { chunk, failed, head } from "runner:fetch";
export { inspect } from "runner:inspect";
export { unhandled } from "runner:process";
export { fire } from "runner:timers";

/** The modules of bundles in the style of CommonJS. */
function require(name) {
  const space = host.load(String(name));
  return space.default ?? space;
}

const module = { exports: {} };
const globals = {
  AbortController, AbortSignal, Blob, Buffer, CryptoKey, CustomEvent, DOMException, Event, EventTarget, File, FormData, Headers,
  ReadableStream, Request, Response, TextDecoder, TextEncoder, URL, URLSearchParams, console, crypto, exports: module.exports,
  fetch, global: globalThis, module, performance, process, require, self: globalThis, structuredClone,
  clearImmediate: timers.clearImmediate, clearInterval: timers.clearInterval, clearTimeout: timers.clearTimeout,
  queueMicrotask: timers.queueMicrotask, setImmediate: timers.setImmediate, setInterval: timers.setInterval,
  setTimeout: timers.setTimeout,
};
for (const name of Object.keys(globals)) {
  Object.defineProperty(globalThis, name, { value: globals[name], writable: true, configurable: true, enumerable: false });
}

// Of the engine's own, because the built-in one would draw the same numbers in every run.
Object.defineProperty(Math, "random", {
  value: function random() {
    return host.random();
  },
  writable: true,
  configurable: true,
});
