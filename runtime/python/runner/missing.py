"""What Python has elsewhere and not in an analysis, and what to use instead.

Owns the messages of imports that cannot work, and the list of modules that every analysis holds,
so that functions may import them late.
"""

import importlib
import sys
import threading

_HTTP = "use `from runner import http`; http.get(url) and the like return what requests does"
_ALONE = "an analysis is one thread in one process: do one thing after the other"

#: Modules that cannot work here, each with what to do.
ADVICE = {
    "aiohttp": _HTTP,
    "asyncio": f"{_ALONE}; functions of runner.http wait by themselves",
    "concurrent.futures": _ALONE,
    "ctypes": "native libraries cannot be loaded; use a package in pure Python",
    "http.client": _HTTP,
    "httpx": _HTTP,
    "multiprocessing": _ALONE,
    "requests": _HTTP,
    "socket": f"an analysis has no sockets; {_HTTP}",
    "ssl": "the runner does TLS itself; request https:// addresses with runner.http",
    "subprocess": "an analysis cannot start programs",
    "urllib.request": _HTTP,
    "urllib3": _HTTP,
}

#: Modules of the standard library that are in every analysis, imported at its top or not. Some are
#: here because others import them when a function is called.
PRELOADED = (
    "_strptime", "base64", "binascii", "bisect", "calendar", "collections",
    "collections.abc", "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal",
    "difflib", "email.utils", "enum", "fractions", "functools", "gzip", "hashlib", "heapq",
    "hmac", "html", "io", "ipaddress", "itertools", "json", "locale", "logging", "math",
    "numbers", "operator", "os", "pprint", "random", "re", "secrets", "statistics",
    "string", "struct", "textwrap", "time", "traceback", "types", "typing", "unicodedata",
    "urllib.parse", "uuid", "xml.etree.ElementTree", "xml.parsers.expat", "zlib",
    *(f"encodings.{name}" for name in (
        "ascii", "base64_codec", "cp1250", "cp1251", "cp1252", "cp437", "cp850", "hex_codec",
        "idna", "iso8859_15", "iso8859_2", "latin_1", "punycode", "raw_unicode_escape",
        "unicode_escape", "utf_16", "utf_32", "utf_8_sig",
    )),
)


def preload() -> None:
    """Imports what every analysis holds; an analysis has no files to import from later."""
    for name in PRELOADED:
        importlib.import_module(name)


class Refusals:
    """The first of the import system's finders: says no where nothing could work."""

    @staticmethod
    def find_spec(name, _path=None, _target=None):
        advice = ADVICE.get(name)
        if advice is not None:
            raise ImportError(f"{name} does not work in an analysis: {advice}", name=name)
        return None


class Late:
    """The last of the finders during a run: no file is there to import from."""

    @staticmethod
    def find_spec(name, _path=None, _target=None):
        raise ModuleNotFoundError(
            f"{name} was not imported while the module was built: import it at the top of your "
            "file, because a run has no files to import from",
            name=name,
        )


def _start(_thread):
    raise RuntimeError(f"threads cannot be started in an analysis: {_ALONE}")


def guard() -> None:
    """Puts the refusals in place; for the build, before the author's file is imported."""
    sys.meta_path.insert(0, Refusals)
    threading.Thread.start = _start


def close() -> None:
    """After the author's file was imported: later imports of new modules are told why they fail."""
    sys.meta_path.append(Late)
