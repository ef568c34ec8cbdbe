// process: the little of Node's that scripts and packages look at.

import { EventEmitter } from "node:events";
import host from "runner:host";
import { console } from "runner:console";
import { environment } from "runner:environment";
import { queueMicrotask } from "runner:timers";

const output = (write) => ({
  isTTY: false,
  columns: 80,
  write(text) {
    write(String(text).replace(/\n$/, ""));
    return true;
  },
});

class Process extends EventEmitter {
  #code;
  env = environment;
  argv = ["runner", "analysis"];
  execArgv = [];
  execPath = "runner";
  title = "runner";
  pid = 1;
  platform = "wasi";
  arch = "wasm32";
  // Packages choose by it what they may use: the language and the web's APIs are those of Node 20.
  version = "v20.0.0";
  versions = { node: "20.0.0", quickjs: "0.16.2" };
  release = { name: "runner" };
  stdout = output((text) => host.log(1, text));
  stderr = output((text) => host.log(3, text));
  get exitCode() {
    return this.#code;
  }
  set exitCode(code) {
    this.#code = code;
    host.setExitCode(Number(code) || 0);
  }
  exit(code = this.#code ?? 0) {
    host.exit(Number(code) || 0);
  }
  abort() {
    host.exit(134);
  }
  cwd() {
    return "/";
  }
  nextTick(callback, ...args) {
    queueMicrotask(() => callback(...args));
  }
  hrtime(before) {
    const time = host.elapsed();
    const seconds = Math.floor(time / 1000);
    const nanoseconds = Math.floor((time % 1000) * 1e6);
    if (before === undefined) return [seconds, nanoseconds];
    const [s, n] = [seconds - before[0], nanoseconds - before[1]];
    return n < 0 ? [s - 1, n + 1e9] : [s, n];
  }
  uptime() {
    return host.elapsed() / 1000;
  }
  memoryUsage() {
    const [heapUsed, rss] = host.memory();
    return { rss, heapTotal: rss, heapUsed, external: 0, arrayBuffers: 0 };
  }
  emitWarning(warning) {
    console.warn(warning instanceof Error ? warning : `Warning: ${warning}`);
  }
  get [Symbol.toStringTag]() {
    return "process";
  }
}
Process.prototype.hrtime.bigint = () => BigInt(Math.floor(host.elapsed() * 1e6));

export const process = new Process();
process.memoryUsage.rss = () => host.memory()[1];

/** A promise was rejected, and nobody listened: whether the script has a listener for that. */
export function unhandled(reason) {
  return process.emit("unhandledRejection", reason, undefined);
}
