"""Requests over HTTP, for those who know the package `requests`.

Owns the face that authors see, redirects, and what is said when a request fails. How a request
leaves the analysis is `transport`'s. The runner lets a request out only where a policy allows this
analysis `access` on `["network", "host", "<host>"]`; its refusals are raised as `Error`, with its
own words. Each redirect is a request of its own, and so is checked as one.
"""

import base64
import json as _json
from typing import Any, Iterable, Mapping, Optional, Union
from urllib.parse import quote, urlencode, urljoin, urlsplit

from . import transport
from .transport import Error, Timeout

__all__ = [
    "Error", "Headers", "Response", "StatusError", "Timeout", "TooManyRedirects",
    "delete", "get", "head", "options", "patch", "post", "put", "request",
]

#: How many redirects of one request are followed.
MAX_REDIRECTS = 10

#: Seconds that one request may take, its redirects included, where the call does not say.
DEFAULT_TIMEOUT = 30.0

#: What of a request's headers another origin may see after a redirect: none can hold a secret.
_HARMLESS = {"accept", "accept-language", "content-type", "user-agent"}

_DEFAULT_PORTS = {"http": 80, "https": 443}


class StatusError(Error):
    """An answer with a status of 400 or more, raised by `raise_for_status`."""

    def __init__(self, message: str, response: "Response"):
        super().__init__(message)
        #: The answer.
        self.response = response


class TooManyRedirects(Error):
    """More redirects than are followed."""


class Headers(Mapping):
    """Headers by name, in any case. Values of a name that came several times are joined by commas."""

    def __init__(self, entries: Iterable[tuple]):
        self._entries = {}
        for name, value in entries:
            kept = self._entries.get(name.lower())
            self._entries[name.lower()] = value if kept is None else f"{kept}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._entries[name.lower()]

    def __iter__(self):
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Headers({self._entries!r})"


class Response:
    """An answer, all of it read."""

    def __init__(self, status_code: int, headers: Headers, content: bytes, url: str, history: list):
        #: The HTTP status.
        self.status_code = status_code
        #: The headers, by name in any case.
        self.headers = headers
        #: The body's bytes.
        self.content = content
        #: The address that answered, after redirects.
        self.url = url
        #: The redirects that led here.
        self.history = history

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    @property
    def encoding(self) -> str:
        """The body's character set, as its type tells; UTF-8 where it does not."""
        for part in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip("\"'") or "utf-8"
        return "utf-8"

    @property
    def text(self) -> str:
        """The body as text; bytes that are none are replaced by U+FFFD."""
        try:
            return self.content.decode(self.encoding, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON."""
        try:
            return _json.loads(self.content)
        except ValueError as error:
            raise Error(f"the answer of {_shown(self.url)} is not JSON: {error}") from None

    def raise_for_status(self) -> None:
        """Raises StatusError where the status is 400 or more."""
        if not self.ok:
            raise StatusError(f"{_shown(self.url)} answered {self.status_code}", self)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return f"<Response [{self.status_code}]>"


def request(
    method: str,
    url: str,
    *,
    params: Any = None,
    headers: Optional[Mapping] = None,
    data: Union[None, str, bytes, Mapping, Iterable[tuple]] = None,
    json: Any = None,
    auth: Optional[tuple] = None,
    timeout: Optional[float] = DEFAULT_TIMEOUT,
    allow_redirects: bool = True,
) -> Response:
    """Sends a request and waits for the whole answer.

    `params` are added to the address's query. `data` is sent as it is, or as a form where it is a
    mapping or a list of pairs; `json` is written as JSON. `auth` is a name and a password for Basic
    authentication. `timeout` is in seconds; None waits as long as the run may take.
    """
    method = method.upper()
    sent = {str(name).lower(): str(value) for name, value in (headers or {}).items()}
    body = _body(data, json, sent)
    if auth is not None:
        name, password = auth
        pair = base64.b64encode(f"{name}:{password}".encode()).decode()
        sent.setdefault("authorization", f"Basic {pair}")
    if params:
        query = params if isinstance(params, str) else urlencode(params, doseq=True)
        bare, hash_sign, fragment = url.partition("#")
        url = f"{bare}{'&' if '?' in bare else '?'}{query}{hash_sign}{fragment}"
    deadline = None if timeout is None else transport.now() + timeout
    history = []
    while True:
        status, fields, content = _send(method, url, sent, body, deadline)
        response = Response(status, Headers(fields), content, url, list(history))
        location = response.headers.get("location")
        if not allow_redirects or status not in (301, 302, 303, 307, 308) or location is None:
            return response
        if len(history) == MAX_REDIRECTS:
            raise TooManyRedirects(f"{_shown(url)} redirects more than {MAX_REDIRECTS} times")
        history.append(response)
        target = urljoin(url, location)
        if status == 303 and method != "HEAD" or status in (301, 302) and method == "POST":
            method, body = "GET", None
            sent.pop("content-type", None)
        if _origin(target) != _origin(url):
            sent = {name: value for name, value in sent.items() if name in _HARMLESS}
        url = target


def get(url: str, **options: Any) -> Response:
    """GET; the options are those of `request`."""
    return request("GET", url, **options)


def head(url: str, **options: Any) -> Response:
    """HEAD; redirects are followed only where `allow_redirects` says so."""
    return request("HEAD", url, **{"allow_redirects": False, **options})


def options(url: str, **options: Any) -> Response:
    """OPTIONS; the options are those of `request`."""
    return request("OPTIONS", url, **options)


def post(url: str, data: Any = None, json: Any = None, **options: Any) -> Response:
    """POST; the options are those of `request`."""
    return request("POST", url, data=data, json=json, **options)


def put(url: str, data: Any = None, **options: Any) -> Response:
    """PUT; the options are those of `request`."""
    return request("PUT", url, data=data, **options)


def patch(url: str, data: Any = None, **options: Any) -> Response:
    """PATCH; the options are those of `request`."""
    return request("PATCH", url, data=data, **options)


def delete(url: str, **options: Any) -> Response:
    """DELETE; the options are those of `request`."""
    return request("DELETE", url, **options)


def _body(data: Any, json: Any, headers: dict) -> Optional[bytes]:
    """What is sent, and the header that tells its type where the caller did not."""
    if data is not None and json is not None:
        raise ValueError("a request has either data or json")
    if json is not None:
        headers.setdefault("content-type", "application/json")
        return _json.dumps(json, ensure_ascii=False, allow_nan=False).encode()
    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    headers.setdefault("content-type", "application/x-www-form-urlencoded")
    return urlencode(data, doseq=True).encode()


def _send(method: str, url: str, headers: dict, body: Optional[bytes], deadline: Optional[float]):
    scheme, authority, path = _parts(url)
    sent = dict(headers)
    # An empty body is none: a stream of one without bytes may be closed before it is written.
    body = body or None
    if body is not None or method in ("POST", "PUT", "PATCH"):
        sent["content-length"] = str(len(body or b""))
    try:
        return transport.send(method, scheme, authority, path, sent, body, deadline)
    except Error as error:
        raise type(error)(f"{method} {_shown(url)}: {error}") from None


def _parts(url: str) -> tuple:
    """Scheme, authority and path with query, as they are sent."""
    try:
        split = urlsplit(url)
        port = split.port
        host = (split.hostname or "").encode("idna").decode()
    except ValueError as error:
        raise Error(f"{_shown(url)} is not an address: {error}") from None
    if split.scheme not in _DEFAULT_PORTS or not host:
        raise Error(f"{_shown(url)} is not an address that begins with https:// or http://")
    if "@" in split.netloc:
        raise Error("a name or a password in an address is not sent; give it as auth=(…, …)")
    if ":" in host:
        host = f"[{host}]"
    # What an address may not hold is encoded; what is encoded already stays.
    safe = "/%:@!$&'()*+,;=~?"
    path = quote(split.path or "/", safe=safe)
    if split.query:
        path += "?" + quote(split.query, safe=safe)
    return split.scheme, host if port is None else f"{host}:{port}", path


def _origin(url: str) -> tuple:
    split = urlsplit(url)
    return split.scheme, split.hostname, split.port or _DEFAULT_PORTS.get(split.scheme)


def _shown(url: str) -> str:
    """An address in messages: without its query, where secrets may stand."""
    return url.partition("#")[0].partition("?")[0]
