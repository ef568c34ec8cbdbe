// The function that a script hands to Analysis.use, and how a run calls it.

import host from "runner:host";
import { entries } from "runner:environment";
import { format } from "runner:inspect";

let handler;
let begun = false;

/** Registers the analysis's function. */
export function use(analysis) {
  if (typeof analysis !== "function") throw new TypeError("Analysis.use needs a function: Analysis.use(async (context, scope) => { … })");
  if (handler !== undefined) throw new Error("Analysis.use was called before: an analysis has one function");
  if (begun) throw new Error("Analysis.use was called too late: call it at the top level of the script");
  handler = analysis;
}

/** An array of {key, value} that answers by name too, where an array has no such member itself. */
function environment() {
  const list = entries();
  for (const { key, value } of list) {
    if (!(key in list)) Object.defineProperty(list, key, { value, configurable: true, writable: true });
  }
  return list;
}

/** The engine begins the run: a promise of the result as JSON, or nothing where there is no function. */
export function begin() {
  begun = true;
  return handler === undefined ? undefined : call();
}

async function call() {
  const [analysis_id, run_id, token] = host.context();
  const context = { log: (...values) => host.log(1, format(...values)), token, analysis_id, run_id, environment: environment() };
  const result = await handler(context, JSON.parse(host.scope()));
  if (result === undefined) return undefined;
  let text;
  try {
    text = JSON.stringify(result);
  } catch (error) {
    throw new TypeError(`the result of the analysis cannot be written as JSON: ${error.message}`);
  }
  if (text === undefined) throw new TypeError(`the result of the analysis is a ${typeof result}, which JSON does not have`);
  return text;
}
