// Values as people read them, in the notation of Node's util.inspect.

import host from "runner:host";

/** The method by which an object says itself how it is shown. */
export const custom = Symbol.for("nodejs.util.inspect.custom");

const WIDTH = 80; // of one line that several entries share
const BREAK = 128; // of one line at all
const ITEMS = 100; // that are shown of one collection
const plainKey = /^[A-Za-z_$][A-Za-z0-9_$]*$/;
const TypedArray = Object.getPrototypeOf(Uint8Array);

export function inspect(value, options = {}) {
  if (typeof options !== "object" || options === null) options = {};
  const run = {
    depth: options.depth === null ? Infinity : (options.depth ?? 2),
    breakLength: options.breakLength ?? BREAK,
    compact: options.compact ?? 3,
    items: options.maxArrayLength === null ? Infinity : (options.maxArrayLength ?? ITEMS),
    sorted: options.sorted ?? false,
    showHidden: options.showHidden ?? false,
    seen: [],
    circular: new Map(),
    indent: 0,
    last: 0, // the level of what was shown last
  };
  return show(run, value, 0);
}
inspect.custom = custom;

function show(run, value, level) {
  if (typeof value !== "object" && typeof value !== "function") return primitive(value);
  if (value === null) return "null";
  const own = value[custom];
  if (typeof own === "function" && own !== inspect) {
    const left = run.depth - level;
    const text = own.call(value, left, { ...run, depth: left, stylize: (text) => text }, inspect);
    if (text !== value) {
      if (typeof text === "string") return text.replaceAll("\n", `\n${" ".repeat(run.indent)}`);
      return show(run, text, level);
    }
  }
  if (run.seen.includes(value)) {
    if (!run.circular.has(value)) run.circular.set(value, run.circular.size + 1);
    return `[Circular *${run.circular.get(value)}]`;
  }
  return compound(run, value, level);
}

function primitive(value) {
  if (typeof value === "string") return quote(value);
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "bigint") return `${value}n`;
  return String(value);
}

/** A string in the quotes that need the fewest escapes. */
export function quote(text) {
  const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !/[`]|\$\{/.test(text) ? "`" : "'";
  let out = mark;
  for (const char of text) {
    const code = char.codePointAt(0);
    if (char === mark || char === "\\") out += `\\${char}`;
    else if (char === "\n") out += "\\n";
    else if (char === "\t") out += "\\t";
    else if (char === "\r") out += "\\r";
    else if (char === "\b") out += "\\b";
    else if (char === "\f") out += "\\f";
    else if (char === "\v") out += "\\v";
    else if (code < 32 || code === 127) out += `\\x${code.toString(16).padStart(2, "0").toUpperCase()}`;
    else if (code >= 0xd800 && code < 0xe000) out += `\\u${code.toString(16).toUpperCase()}`;
    else out += char;
  }
  return out + mark;
}

/** The name of the class an object is of, or null for one without a prototype. */
function className(value) {
  for (let at = value; at !== null; at = Object.getPrototypeOf(at)) {
    const own = Object.getOwnPropertyDescriptor(at, "constructor");
    if (own !== undefined && typeof own.value === "function" && own.value.name !== "") return own.value.name;
  }
  return null;
}

/** What stands before the braces. */
function prefix(value, name, kind, size) {
  const length = size === undefined ? "" : `(${size})`;
  if (name === null) return `[${kind}${length}: null prototype] `;
  const own = Object.prototype.propertyIsEnumerable.call(value, Symbol.toStringTag);
  const tag = own ? "" : value[Symbol.toStringTag];
  const extra = typeof tag === "string" && tag !== "" && tag !== name ? ` [${tag}]` : "";
  if (kind === "Object" && name === "Object" && extra === "") return "";
  if (kind === "Array" && name === "Array") return "";
  return `${name}${length}${extra} `;
}

function keysOf(run, value) {
  const names = run.showHidden ? Object.getOwnPropertyNames(value) : Object.keys(value);
  const symbols = Object.getOwnPropertySymbols(value).filter((symbol) =>
    run.showHidden || Object.prototype.propertyIsEnumerable.call(value, symbol),
  );
  if (run.sorted) names.sort();
  return [...names, ...symbols];
}

function compound(run, value, level) {
  const name = className(value);
  let keys = keysOf(run, value);
  let open = "{";
  let close = "}";
  let base = "";
  let entries = () => [];
  let list = false;

  if (Array.isArray(value)) {
    keys = keys.filter((key) => typeof key === "symbol" || !isIndex(key));
    open = `${prefix(value, name, "Array", value.length)}[`;
    close = "]";
    list = true;
    entries = () => items(run, value, level);
  } else if (value instanceof Set) {
    open = `${prefix(value, name, "Set", value.size)}{`;
    entries = () => some(run, [...value], (item) => show(run, item, level + 1));
  } else if (value instanceof Map) {
    open = `${prefix(value, name, "Map", value.size)}{`;
    const pair = ([key, item]) => `${show(run, key, level + 1)} => ${show(run, item, level + 1)}`;
    entries = () => some(run, [...value], pair);
  } else if (value instanceof TypedArray) {
    keys = keys.filter((key) => typeof key === "symbol" || !isIndex(key));
    open = `${prefix(value, name, "TypedArray", value.length)}[`;
    close = "]";
    list = true;
    entries = () => some(run, value, primitive);
  } else if (value instanceof ArrayBuffer) {
    open = `${prefix(value, name, "ArrayBuffer")}{`;
    const bytes = new Uint8Array(value);
    const dump = host.encodeHex(bytes.subarray(0, 50)).replace(/..(?!$)/g, "$& ");
    const rest = bytes.length > 50 ? ` ... ${bytes.length - 50} more bytes` : "";
    entries = () => [`[Uint8Contents]: <${dump}${rest}>`, `byteLength: ${bytes.length}`];
  } else if (typeof value === "function") {
    base = functionName(value, name);
    if (keys.length === 0) return base;
    open = `${base} {`;
    base = "";
  } else if (value instanceof Error) {
    base = errorText(value);
    keys = keys.filter((key) => !["name", "message", "stack"].includes(key) || !base.includes(String(value[key])));
    const hidden = ["cause", "errors"].filter((key) => Object.hasOwn(value, key) && !keys.includes(key));
    keys.push(...hidden);
    const pad = " ".repeat(run.indent);
    if (pad !== "") base = base.replaceAll("\n", `\n${pad}`);
    if (keys.length === 0) return base;
    if (level > run.depth) return `[${className(value) ?? "Error"}]`;
  } else if (value instanceof RegExp || value instanceof Date) {
    const plain = value instanceof RegExp ? RegExp.prototype.toString.call(value) : dateText(value);
    base = name === "RegExp" || name === "Date" ? plain : `${prefix(value, name, "Object")}${plain}`;
    if (keys.length === 0) return base;
  } else if (value instanceof Promise) {
    const [state, result] = host.promise(value);
    open = `${prefix(value, name, "Promise")}{`;
    const shown = () => show(run, result, level + 1);
    entries = () => [state === 0 ? "<pending>" : state === 1 ? shown() : `<rejected> ${shown()}`];
  } else if (value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
    open = `${prefix(value, name, "Object")}{`;
    entries = () => ["<items unknown>"];
  } else if (boxed(value) !== undefined) {
    const inner = boxed(value);
    base = `[${name}: ${primitive(inner)}]`;
    keys = keys.filter((key) => typeof inner !== "string" || typeof key === "symbol" || !isIndex(key));
    if (keys.length === 0) return base;
  } else if (isArguments(value)) {
    keys = keys.filter((key) => typeof key === "symbol" || !isIndex(key));
    open = "[Arguments] [";
    close = "]";
    list = true;
    entries = () => items(run, Array.from(value), level);
  } else {
    open = `${prefix(value, name, "Object")}{`;
    if (keys.length === 0) return `${open}}`;
  }

  if (level > run.depth) {
    const shown = list && name === "Array" ? "Array" : (name ?? "Object: null prototype");
    return `[${shown}]`;
  }
  run.seen.push(value);
  run.last = level;
  const indent = run.indent;
  run.indent += 2;
  const output = entries();
  for (const key of keys) output.push(property(run, value, key, level + 1));
  run.indent = indent;
  run.seen.pop();
  if (base === "" && output.length === 0) return `${open}${close}`;
  if (base !== "") open = `${base} {`;
  let shown = join(run, output, open, close, level, list, value);
  const circle = run.circular.get(value);
  if (circle !== undefined) shown = `<ref *${circle}> ${shown}`;
  return shown;
}

function isIndex(key) {
  return /^(0|[1-9][0-9]*)$/.test(key);
}

function isArguments(value) {
  return Object.prototype.toString.call(value) === "[object Arguments]";
}

function boxed(value) {
  for (const kind of [String, Number, Boolean, Symbol, BigInt]) {
    if (value instanceof kind) {
      try {
        return kind.prototype.valueOf.call(value);
      } catch {
        return undefined;
      }
    }
  }
  return undefined;
}

function dateText(date) {
  return Number.isNaN(date.getTime()) ? "Invalid Date" : Date.prototype.toISOString.call(date);
}

function functionName(value, name) {
  const own = value.name;
  const prototype = Object.getOwnPropertyDescriptor(value, "prototype");
  const isClass = prototype !== undefined && !prototype.writable && !/^(Async)?GeneratorFunction$|^AsyncGeneratorFunction$/.test(name);
  if (isClass && globalThis[own] !== value) {
    const parent = Object.getPrototypeOf(value);
    const from = typeof parent === "function" && parent.name ? ` extends ${parent.name}` : "";
    return `[class ${own === "" ? "(anonymous)" : own}${from}]`;
  }
  const kind = name === null || name === "Function" ? "Function" : name;
  return own === "" ? `[${kind} (anonymous)]` : `[${kind}: ${own}]`;
}

/** An error with the places in the script that led to it. */
export function errorText(error) {
  const name = String(error.name ?? "Error");
  const message = String(error.message ?? "");
  const headline = message === "" ? name : name === "" ? message : `${name}: ${message}`;
  const stack = typeof error.stack === "string" ? error.stack : "";
  const frames = host.frames(stack).map((frame) => `    ${frame}`);
  if (frames.length === 0) return stack === "" || message === "" ? `[${headline}]` : headline;
  return [headline, ...frames].join("\n");
}

function items(run, array, level) {
  const output = [];
  const length = array.length;
  for (let at = 0; at < length; at++) {
    if (output.length >= run.items) {
      output.push(more(length - at));
      break;
    }
    if (Object.hasOwn(array, at)) {
      output.push(show(run, array[at], level + 1));
      continue;
    }
    let end = at;
    while (end < length && !Object.hasOwn(array, end)) end++;
    output.push(`<${end - at} empty item${end - at === 1 ? "" : "s"}>`);
    at = end - 1;
  }
  return output;
}

function some(run, values, each) {
  const output = [];
  for (const value of values) {
    if (output.length >= run.items) {
      output.push(more(values.length - run.items));
      break;
    }
    output.push(each(value));
  }
  return output;
}

function more(count) {
  return `... ${count} more item${count === 1 ? "" : "s"}`;
}

function property(run, value, key, level) {
  const own = Object.getOwnPropertyDescriptor(value, key) ?? { value: value[key], enumerable: true };
  let shown;
  if (own.get !== undefined) shown = own.set !== undefined ? "[Getter/Setter]" : "[Getter]";
  else if (own.set !== undefined) shown = "[Setter]";
  else shown = show(run, own.value, level);
  const name = typeof key === "symbol" ? `[${String(key)}]` : plainKey.test(key) ? key : quote(key);
  const hidden = own.enumerable ? name : `[${name}]`;
  return `${hidden}: ${shown}`;
}

function join(run, output, open, close, level, list, value) {
  const shared = list && output.length > 6 ? columns(run, output, value) : output;
  if (run.compact !== false && run.last - level < run.compact && shared === output) {
    const start = output.length + run.indent + open.length + 10;
    const length = output.reduce((sum, entry) => sum + entry.length, output.length + start);
    const line = output.join(", ");
    if (length <= Math.min(run.breakLength, WIDTH) && !line.includes("\n") && !open.includes("\n")) {
      return `${open} ${line} ${close}`;
    }
  }
  const pad = `\n${" ".repeat(run.indent + 2)}`;
  return `${open}${pad}${shared.join(`,${pad}`)}\n${" ".repeat(run.indent)}${close}`;
}

/** Sets many short entries in columns of one width. */
function columns(run, output, value) {
  const over = output.length > run.items && value !== undefined ? 1 : 0;
  const count = output.length - over;
  const lengths = output.slice(0, count).map((entry) => entry.length + 2);
  const widest = Math.max(...lengths);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (output.some((entry) => entry.includes("\n"))) return output;
  if (widest * 3 + run.indent >= run.breakLength || (total / widest <= 5 && widest > 8)) return output;
  const bias = Math.sqrt(widest - total / output.length);
  const biased = Math.max(widest - 3 - bias + 1, 1);
  const width = Math.min(
    Math.round(Math.sqrt(2.5 * biased * count) / biased),
    Math.floor((run.breakLength - run.indent) / widest),
    (run.compact || 3) * 4,
    15,
  );
  if (width <= 1) return output;
  const widths = [];
  for (let column = 0; column < width; column++) {
    let most = 0;
    for (let at = column; at < count; at += width) most = Math.max(most, lengths[at]);
    widths.push(most);
  }
  const right = Array.isArray(value)
    ? value.every((item) => typeof item === "number" || typeof item === "bigint")
    : value instanceof TypedArray;
  const rows = [];
  for (let at = 0; at < count; at += width) {
    const end = Math.min(at + width, count);
    let row = "";
    for (let cell = at; cell < end - 1; cell++) {
      const text = `${output[cell]}, `;
      row += right ? text.padStart(widths[cell - at]) : text.padEnd(widths[cell - at]);
    }
    const last = output[end - 1];
    row += right ? last.padStart(widths[end - 1 - at] - 2) : last;
    rows.push(row);
  }
  if (over) rows.push(output[count]);
  return rows;
}

/** The arguments of console.log as one text, with the placeholders of the first. */
export function format(...values) {
  let text = "";
  let at = 0;
  if (typeof values[0] === "string") {
    at = 1;
    text = values.length === 1 ? values[0] : values[0].replace(/%[sdifjoOc%]/g, (mark) => {
      if (mark === "%%") return "%";
      if (at >= values.length) return mark;
      const value = values[at++];
      switch (mark) {
        case "%s":
          return stringified(value);
        case "%d":
          return typeof value === "object" ? "NaN" : typeof value === "bigint" ? `${value}n` : primitive(Number(value));
        case "%i":
          return typeof value === "object" ? "NaN" : typeof value === "bigint" ? `${value}n` : primitive(Number.parseInt(value));
        case "%f":
          return typeof value === "symbol" ? "NaN" : primitive(Number.parseFloat(value));
        case "%j":
          try {
            return String(JSON.stringify(value));
          } catch {
            return "[Circular]";
          }
        case "%o":
          return inspect(value, { showHidden: true, depth: 4 });
        case "%O":
          return inspect(value);
        default:
          return "";
      }
    });
  }
  for (; at < values.length; at++) {
    const value = values[at];
    text += `${at === 0 ? "" : " "}${typeof value === "string" ? value : inspect(value)}`;
  }
  return text;
}

function stringified(value) {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) {
    if (value instanceof Error || typeof value.toString !== "function") return inspect(value, { depth: 0 });
    return ownText(value) ? String(value) : inspect(value, { depth: 0 });
  }
  return typeof value === "string" ? value : primitive(value);
}

/** Whether an object says by a method of its own class how it is written. */
function ownText(value) {
  let holder = value;
  while (holder !== null && !Object.hasOwn(holder, "toString")) holder = Object.getPrototypeOf(holder);
  const kind = holder?.constructor;
  return holder === value || (typeof kind === "function" && globalThis[kind.name] !== kind);
}
