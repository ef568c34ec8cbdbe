// node:path, for paths with slashes.

export const sep = "/";
export const delimiter = ":";

function text(path) {
  if (typeof path !== "string") throw new TypeError("a path is text");
  return path;
}

/** The names of a path without its dots. A relative one may begin with "..". */
function names(path, absolute) {
  const left = [];
  for (const name of path.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") left.push(name);
    else if (left.length > 0 && left.at(-1) !== "..") left.pop();
    else if (!absolute) left.push("..");
  }
  return left;
}

export function isAbsolute(path) {
  return text(path).startsWith("/");
}

export function normalize(path) {
  const absolute = isAbsolute(path);
  const plain = names(path, absolute).join("/");
  const tail = path.endsWith("/") && plain !== "" ? "/" : "";
  if (absolute) return `/${plain}${tail}`;
  return plain === "" ? (path.endsWith("/") ? "./" : ".") : `${plain}${tail}`;
}

export function join(...paths) {
  const whole = paths.map(text).filter((path) => path !== "").join("/");
  return whole === "" ? "." : normalize(whole);
}

export function resolve(...paths) {
  let whole = "";
  for (const path of paths.map(text).reverse()) {
    if (path === "") continue;
    whole = whole === "" ? path : `${path}/${whole}`;
    if (path.startsWith("/")) break;
  }
  return `/${names(whole, true).join("/")}`;
}

export function relative(from, to) {
  const [start, end] = [names(resolve(from), true), names(resolve(to), true)];
  let same = 0;
  while (same < start.length && start[same] === end[same]) same++;
  return [...start.slice(same).map(() => ".."), ...end.slice(same)].join("/");
}

export function dirname(path) {
  const trimmed = text(path).replace(/\/+$/, "");
  const at = trimmed.lastIndexOf("/");
  if (at < 0) return path.startsWith("/") && trimmed === "" ? "/" : ".";
  return trimmed.slice(0, at).replace(/\/+$/, "") || "/";
}

export function basename(path, suffix = "") {
  const name = text(path).replace(/\/+$/, "").split("/").at(-1);
  return suffix !== "" && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
}

export function extname(path) {
  const name = basename(path);
  const at = name.lastIndexOf(".");
  return at <= 0 || name === ".." ? "" : name.slice(at);
}

export function parse(path) {
  const base = basename(path);
  const ext = extname(path);
  const root = isAbsolute(path) ? "/" : "";
  const dir = base === path || base === "" ? root : dirname(path);
  return { root, dir, base, ext, name: ext === "" ? base : base.slice(0, -ext.length) };
}

export function format({ dir, root = "", base, name = "", ext = "" }) {
  const file = base ?? `${name}${ext === "" || ext.startsWith(".") ? ext : `.${ext}`}`;
  if (dir === undefined) return `${root}${file}`;
  return dir === root ? `${dir}${file}` : `${dir}/${file}`;
}

const path = { basename, delimiter, dirname, extname, format, isAbsolute, join, normalize, parse, relative, resolve, sep };
path.posix = path;
export const posix = path;
export default path;
