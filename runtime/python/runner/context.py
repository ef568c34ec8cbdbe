"""What a run is started with."""

from typing import Any, Optional


class Failure(Exception):
    """Ends the run with this message alone; other exceptions also tell the lines they came through."""


class Variable(dict):
    """One entry of the environment: `{"key": ..., "value": ...}`."""

    def __init__(self, key: str, value: str):
        super().__init__(key=key, value=value)

    def __repr__(self) -> str:
        return f"Variable({self['key']!r})"


class Environment(list):
    """The keys that the run may see: a list of `{"key", "value"}`, which also answers by name."""

    def get(self, key: str, default: Optional[str] = None) -> Optional[str]:
        """The value of `key`, or `default` where the run may not see it."""
        for variable in self:
            if variable["key"] == key:
                return variable["value"]
        return default

    def __getitem__(self, at: Any) -> Any:
        """`["KEY"]` is the value of that key, or a Failure that names it; numbers are as in a list."""
        if not isinstance(at, str):
            return super().__getitem__(at)
        value = self.get(at)
        if value is None:
            raise Failure(
                f"{at} is not in the environment: set it as a variable of this analysis, or store "
                "it as a secret and add a policy that gives this analysis access to it"
            )
        return value

    def __contains__(self, item: Any) -> bool:
        if isinstance(item, str):
            return self.get(item) is not None
        return super().__contains__(item)


class Context:
    """Who runs, and with what."""

    def __init__(self, analysis_id: str, run_id: str, token: str, environment: Environment):
        #: The analysis, 24 hexadecimal characters.
        self.analysis_id = analysis_id
        #: This run, 24 hexadecimal characters.
        self.run_id = run_id
        #: A token for this run alone.
        self.token = token
        #: Granted secrets, variables over them, and the runner's own entries.
        self.environment = environment

    def log(self, *values: Any) -> None:
        """Writes the values, with spaces between them, to the run's console."""
        print(*values)

    def __repr__(self) -> str:
        return f"Context(analysis_id={self.analysis_id!r}, run_id={self.run_id!r})"
