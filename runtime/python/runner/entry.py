"""From the component's entry to the author's function and back.

Owns what surrounds a run: the process's environment, the scope, the result, and every exception.
It is imported while the module is built; `load` is the last thing that happens before the
interpreter's memory is kept as the module.
"""

import importlib
import inspect
import json
import os
import random
import sys
import traceback
from typing import Any, Callable, Optional

from . import missing
from .context import Context, Environment, Failure, Variable

Analysis = Callable[[Context, Any], Any]

#: Where the runner answers TagoIO's API for the run itself.
API_ADDRESS = "http://runner.internal"

#: How many lines an exception tells of those it came through, the innermost first.
MAX_FRAMES = 20

_OWN_FOLDER = os.path.dirname(__file__)


def load(name: str) -> Analysis:
    """The function `analysis` of the author's file."""
    missing.preload()
    missing.guard()
    function = getattr(importlib.import_module(name), "analysis", None)
    if not callable(function):
        raise ImportError(f"{name}.py has no function analysis(context, scope)")
    if inspect.iscoroutinefunction(function):
        raise ImportError(
            f"analysis in {name}.py is `async def`; write `def`: functions of runner.http wait by "
            "themselves"
        )
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        raise ImportError(f"analysis in {name}.py does not take (context, scope)") from None
    missing.close()
    # Each line is told when it is printed, in its place among those of context.log.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    return function


def enter(analysis: Analysis, context: Context, scope: str) -> Optional[str]:
    """Runs `analysis` once; its result as JSON, or None. Raises nothing but Failure."""
    try:
        result = _run(analysis, context, scope)
        return None if result is None else _written(result)
    except BaseException as error:  # What passes here would end as a trap without a message.
        raise Failure(told(error)) from None
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()


def _run(analysis: Analysis, context: Context, scope: str) -> Any:
    # The generator's state was kept with the module: without this, all runs draw the same numbers.
    random.seed()
    os.environ.clear()
    os.environ.update(process_environment(context, scope))
    try:
        return analysis(context, json.loads(scope))
    except SystemExit as exit:
        if exit.code in (None, 0):
            return None
        if isinstance(exit.code, str):
            raise Failure(exit.code) from None
        raise Failure(f"the analysis ended with exit code {exit.code}") from None


def _written(result: Any) -> str:
    try:
        return json.dumps(result, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Failure(f"the result cannot be written as JSON: {error}") from None


def process_environment(context: Context, scope: str) -> dict:
    """What scripts for TagoIO's cloud read in `os.environ`."""
    variables = {variable["key"]: variable["value"] for variable in context.environment}
    # A key with these characters cannot be a variable of a process; the context has it all the same.
    variables = {
        key: value for key, value in variables.items()
        if key and "=" not in key and "\0" not in key + value
    }
    variables.update(
        T_ANALYSIS_CONTEXT="tago-io",
        T_ANALYSIS_ENV=json.dumps(list(context.environment), ensure_ascii=False),
        T_ANALYSIS_DATA=scope,
        T_ANALYSIS_TOKEN=context.token,
        T_ANALYSIS_ID=context.analysis_id,
        TAGOIO_API=API_ADDRESS,
    )
    return variables


def told(error: BaseException) -> str:
    """An exception as text for people: what it says, and the lines of the author it came through."""
    if isinstance(error, Failure):
        return str(error) or "the analysis failed without a message"
    text = "".join(traceback.format_exception_only(error)).strip()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if os.path.dirname(frame.filename) != _OWN_FOLDER and "importlib" not in frame.filename]
    for frame in frames[: -MAX_FRAMES - 1 : -1]:
        text += f"\n  at {_short(frame.filename)}:{frame.lineno} in {frame.name}"
    if len(frames) > MAX_FRAMES:
        text += f"\n  and {len(frames) - MAX_FRAMES} more"
    if error.__cause__ is not None:
        text += f"\ncaused by {told(error.__cause__)}"
    return text


def _short(filename: str) -> str:
    """A file's name below the folder of the import path that holds it."""
    for folder in sys.path:
        if folder and filename.startswith(folder.rstrip("/") + "/"):
            return filename[len(folder.rstrip("/")) + 1 :]
    return filename


def context_of(given: Any) -> Context:
    """The context as authors see it, of the one that the runner hands over."""
    environment = Environment(Variable(entry.key, entry.value) for entry in given.environment)
    return Context(given.analysis_id, given.run_id, given.token, environment)
