// console: what people read of a run.

import host from "runner:host";
import { format, inspect } from "runner:inspect";
import { now } from "runner:performance";

const DEBUG = 0;
const INFO = 1;
const WARN = 2;
const ERROR = 3;

let indent = "";
const counts = new Map();
const clocks = new Map();

function write(level, text) {
  host.log(level, indent === "" ? text : indent + text.replaceAll("\n", `\n${indent}`));
}

const at = (level) => (...values) => write(level, format(...values));

function took(label) {
  const begun = clocks.get(label);
  if (begun === undefined) {
    write(WARN, `No such label '${label}' for console.time()`);
    return null;
  }
  const time = now() - begun;
  return time >= 1000 ? `${label}: ${(time / 1000).toFixed(3)}s` : `${label}: ${time.toFixed(3)}ms`;
}

export const console = {
  log: at(INFO),
  info: at(INFO),
  debug: at(DEBUG),
  warn: at(WARN),
  error: at(ERROR),
  trace(...values) {
    const frames = host.frames(new Error().stack ?? "").map((frame) => `    ${frame}`);
    write(DEBUG, [`Trace${values.length > 0 ? `: ${format(...values)}` : ""}`, ...frames].join("\n"));
  },
  assert(condition, ...values) {
    if (condition) return;
    const [first, ...rest] = values;
    if (values.length === 0) write(ERROR, "Assertion failed");
    else if (typeof first === "string") write(ERROR, format(`Assertion failed: ${first}`, ...rest));
    else write(ERROR, format("Assertion failed:", ...values));
  },
  dir(value, options) {
    write(INFO, inspect(value, options));
  },
  dirxml: at(INFO),
  table,
  group(...values) {
    if (values.length > 0) write(INFO, format(...values));
    indent += "  ";
  },
  groupCollapsed(...values) {
    console.group(...values);
  },
  groupEnd() {
    indent = indent.slice(2);
  },
  count(label = "default") {
    const count = (counts.get(`${label}`) ?? 0) + 1;
    counts.set(`${label}`, count);
    write(INFO, `${label}: ${count}`);
  },
  countReset(label = "default") {
    if (!counts.delete(`${label}`)) write(WARN, `Count for '${label}' does not exist`);
  },
  time(label = "default") {
    if (clocks.has(`${label}`)) write(WARN, `Label '${label}' already exists for console.time()`);
    else clocks.set(`${label}`, now());
  },
  timeLog(label = "default", ...values) {
    const text = took(`${label}`);
    if (text !== null) write(INFO, values.length > 0 ? `${text} ${format(...values)}` : text);
  },
  timeEnd(label = "default") {
    const text = took(`${label}`);
    if (text === null) return;
    clocks.delete(`${label}`);
    write(INFO, text);
  },
  clear() {},
};

function table(data, columns) {
  if (typeof data !== "object" || data === null) {
    write(INFO, format(data));
    return;
  }
  const rows = data instanceof Map || data instanceof Set ? [...data].map((row, at) => [at, row]) : Object.entries(data);
  const names = [];
  let plain = false;
  for (const [, row] of rows) {
    if (typeof row !== "object" || row === null) plain = true;
    else for (const name of columns ?? Object.keys(row)) if (!names.includes(name)) names.push(name);
  }
  const cell = (value) => inspect(value, { depth: 0, compact: 3 });
  const body = rows.map(([index, row]) => {
    const isObject = typeof row === "object" && row !== null;
    const cells = names.map((name) => (isObject && Object.hasOwn(row, name) ? cell(row[name]) : ""));
    return [String(index), ...cells, ...(plain ? [isObject ? "" : cell(row)] : [])];
  });
  const header = ["(index)", ...names.map(String), ...(plain ? ["Values"] : [])];
  const widths = header.map((name, at) => Math.max(name.length, ...body.map((row) => row[at].length)) + 2);
  const line = (row) => `│${row.map((text, at) => ` ${text}`.padEnd(widths[at])).join("│")}│`;
  const rule = (left, middle, right) => left + widths.map((width) => "─".repeat(width)).join(middle) + right;
  write(INFO, [rule("┌", "┬", "┐"), line(header), rule("├", "┼", "┤"), ...body.map(line), rule("└", "┴", "┘")].join("\n"));
}
