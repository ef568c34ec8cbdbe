// node:url.

import host from "runner:host";
import { URL, URLSearchParams } from "runner:url";

/** The old way to take a URL apart; a text that is none has only a path. */
export function parse(text, withQuery = false) {
  const url = URL.parse(String(text));
  const relative = url ?? URL.parse(String(text), "http://none");
  const query = relative.search === "" ? null : relative.search.slice(1);
  const auth = url === null || url.username === "" ? null : decodeURIComponent(url.password === "" ? url.username : `${url.username}:${url.password}`);
  return {
    protocol: url?.protocol ?? null,
    slashes: url === null ? null : true,
    auth,
    host: url?.host || null,
    port: url?.port || null,
    hostname: url?.hostname || null,
    hash: relative.hash || null,
    search: relative.search || null,
    query: withQuery ? Object.fromEntries(new URLSearchParams(query ?? "")) : query,
    pathname: relative.pathname || null,
    path: `${relative.pathname}${relative.search}`,
    href: url?.href ?? String(text),
  };
}

export function format(url) {
  if (url instanceof URL) return url.href;
  const { protocol, host: place, hostname, port, pathname = "", search, query, hash = "", auth } = url;
  const start = protocol ? `${protocol.replace(/:$/, "")}://` : "";
  const where = place ?? (hostname ? `${hostname}${port ? `:${port}` : ""}` : "");
  const asked = search ?? (query && typeof query === "object" ? `?${new URLSearchParams(query)}` : query ? `?${query}` : "");
  return `${start}${auth ? `${auth}@` : ""}${where}${pathname ?? ""}${asked}${hash ?? ""}`;
}

export function resolve(from, to) {
  const base = new URL(from, "http://none");
  const url = new URL(to, base);
  return url.origin === "http://none" ? `${url.pathname}${url.search}${url.hash}` : url.href;
}

export function urlToHttpOptions(url) {
  const { protocol, hostname, hash, search, pathname, href, port } = url;
  return { protocol, hostname, hash, search, pathname, path: `${pathname}${search}`, href, ...(port === "" ? {} : { port: Number(port) }) };
}

export const domainToASCII = (domain) => host.domainToAscii(String(domain));
export const domainToUnicode = (domain) => host.domainToUnicode(String(domain));

export { URL, URLSearchParams };
export default { URL, URLSearchParams, domainToASCII, domainToUnicode, format, parse, resolve, urlToHttpOptions };
