// node:querystring.

export function escape(text) {
  return encodeURIComponent(text);
}

export function unescape(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const plain = (value) => (["string", "number", "bigint", "boolean"].includes(typeof value) ? String(value) : "");

export function stringify(object, separator = "&", equals = "=", options = {}) {
  const write = options?.encodeURIComponent ?? escape;
  const pairs = [];
  for (const [key, value] of Object.entries(object ?? {})) {
    for (const item of Array.isArray(value) ? value : [value]) pairs.push(`${write(key)}${equals}${write(plain(item))}`);
  }
  return pairs.join(separator);
}

export function parse(text, separator = "&", equals = "=", options = {}) {
  const read = options?.decodeURIComponent ?? unescape;
  const most = options?.maxKeys ?? 1000;
  const object = Object.create(null);
  const pairs = String(text ?? "").split(separator).filter((pair) => pair !== "");
  for (const pair of most > 0 ? pairs.slice(0, most) : pairs) {
    const at = pair.indexOf(equals);
    const spaced = (part) => read(part.replaceAll("+", " "));
    const key = spaced(at < 0 ? pair : pair.slice(0, at));
    const value = at < 0 ? "" : spaced(pair.slice(at + equals.length));
    if (!(key in object)) object[key] = value;
    else if (Array.isArray(object[key])) object[key].push(value);
    else object[key] = [object[key], value];
  }
  return object;
}

export { parse as decode, stringify as encode };
export default { decode: parse, encode: stringify, escape, parse, stringify, unescape };
