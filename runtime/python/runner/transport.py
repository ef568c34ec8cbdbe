"""One request over wasi:http, and its answer.

Owns the streams and the waiting. It follows no redirect and knows no author: `http` does. Outside
of a module there is no wasi:http; a test of an analysis puts a function of its own in the place of
`send`.
"""

import time
from typing import Optional

try:
    from componentize_py_types import Err, Ok
    from wit_world.imports import monotonic_clock, outgoing_handler, poll, streams
    from wit_world.imports import wasi_http_types as wasi
except ImportError:  # Not in a module: `send` says so.
    wasi = None

#: The most bytes that are asked of a stream at once.
CHUNK = 65536


class Error(OSError):
    """A request that has no answer: refused by the runner, or failed on its way."""

    __module__ = "runner.http"


class Timeout(Error):
    """A request that took longer than it may."""

    __module__ = "runner.http"


def now() -> float:
    """Seconds of a clock that never goes back."""
    return time.monotonic() if wasi is None else monotonic_clock.now() / 1e9


def send(
    method: str, scheme: str, authority: str, path: str,
    headers: dict, body: Optional[bytes], deadline: Optional[float],
) -> tuple:
    """Status, header pairs and body of the answer, by `deadline` in the seconds of `now`."""
    if wasi is None:
        raise Error("requests leave only a built module; in a test, replace runner.transport.send")
    request = wasi.OutgoingRequest(_fields(headers))
    _accepted(lambda: request.set_method(_method(method)), f"{method} is not a method")
    _accepted(lambda: request.set_scheme(getattr(wasi, f"Scheme_{scheme.capitalize()}")()), scheme)
    _accepted(lambda: request.set_authority(authority), f"{authority} is not a host")
    _accepted(lambda: request.set_path_with_query(path), "its path is not valid")
    outgoing = None if body is None else request.body()
    try:
        future = outgoing_handler.handle(request, None)
    except Err as error:
        raise _error(error.value) from None
    if outgoing is not None:
        _write(outgoing, body, deadline)
    _wait(future, deadline)
    answer = future.get()
    match answer:
        case Ok(Ok(response)):
            pairs = [(name, value.decode("latin-1")) for name, value in response.headers().entries()]
            return response.status(), pairs, _read(response, deadline)
        case Ok(Err(error)):
            raise _error(error)
    raise Error("the answer could not be taken")


def _fields(headers: dict):
    fields = wasi.Fields()
    for name, value in headers.items():
        try:
            fields.append(name, value.encode("utf-8"))
        except Err as error:
            if isinstance(error.value, wasi.HeaderError_Forbidden):
                raise Error(f"the header {name} is set by the runner itself") from None
            raise Error(f"the header {name} has a name or a value that HTTP does not allow") from None
    return fields


def _method(method: str):
    known = getattr(wasi, f"Method_{method.capitalize()}", None)
    return wasi.Method_Other(method) if known is None or method == "OTHER" else known()


def _accepted(setting, message: str) -> None:
    try:
        setting()
    except Err:
        raise Error(message) from None


def _write(outgoing, body: bytes, deadline: Optional[float]) -> None:
    """Writes the body. A stream that closes early is no error here: the answer tells why."""
    try:
        with outgoing.write() as stream:
            at = 0
            while at < len(body):
                room = stream.check_write()
                if room == 0:
                    _wait(stream, deadline)
                    continue
                stream.write(body[at : at + room])
                at += room
            stream.flush()
            while stream.check_write() == 0:
                _wait(stream, deadline)
        wasi.OutgoingBody.finish(outgoing, None)
    except Err:
        return


def _read(response, deadline: Optional[float]) -> bytes:
    """All bytes of the answer's body."""
    parts = []
    with response.consume() as body, body.stream() as stream:
        while True:
            try:
                part = stream.read(CHUNK)
            except Err as error:
                if isinstance(error.value, streams.StreamError_Closed):
                    return b"".join(parts)
                failed = error.value.value
                code = wasi.http_error_code(failed)
                raise Error(failed.to_debug_string()) if code is None else _error(code) from None
            if part:
                parts.append(part)
            else:
                _wait(stream, deadline)


def _wait(waited, deadline: Optional[float]) -> None:
    """Waits until `waited` has something to say, at most until the deadline."""
    with waited.subscribe() as ready:
        if deadline is None:
            poll.poll([ready])
            return
        with monotonic_clock.subscribe_instant(max(0, int(deadline * 1e9))) as late:
            if 0 not in poll.poll([ready, late]):
                raise Timeout("no answer within its timeout")


def _error(code) -> Error:
    """What the host says: its own words where it has some, else the name of the error."""
    detail = getattr(code, "value", None)
    name = type(code).__name__.partition("_")[2]
    if isinstance(code, wasi.ErrorCode_InternalError) and detail:
        return Error(detail)
    words = "".join(f" {c.lower()}" if c.isupper() and not p.isupper() else c for p, c in zip(" " + name, name))
    kind = Timeout if "Timeout" in name else Error
    return kind(words.strip() if detail is None else f"{words.strip()}: {detail}")
