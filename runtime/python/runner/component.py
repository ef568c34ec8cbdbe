"""The export of the component. Only a module that is being built can import it."""

from componentize_py_types import Err
from wit_world import exports

from . import entry


def entry_of(name: str) -> type:
    """The class that answers `runner:analysis/entry` with the author's file `name`.py.

    A file that cannot be imported is a Failure with what to tell of it; `build` looks for that.
    """
    try:
        analysis = entry.load(name)
    except BaseException as error:  # Whatever the author's top level raises, also SystemExit.
        raise entry.Failure(entry.told(error)) from None

    class Entry(exports.Entry):
        def run(self, context, scope):
            try:
                return entry.enter(analysis, entry.context_of(context), scope)
            except entry.Failure as error:
                raise Err(str(error)) from None

    return Entry
