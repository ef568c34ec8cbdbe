"""What was asked for and what was acknowledged.

Every request carries a mark of its own in its scope, so that its run is known even where no answer came.
"""

import threading


class Ledger:
    """Shared by the threads of the load."""

    def __init__(self):
        self._lock = threading.Lock()
        self._next = 0
        self.sent = {}
        self.answers = {}

    def mark(self, kind):
        """A new mark for a request of this kind."""
        with self._lock:
            self._next += 1
            mark = f"{kind}-{self._next}"
            self.sent[mark] = kind
            return mark

    def acknowledge(self, mark, runs):
        """The server answered that the request with this mark is these runs."""
        with self._lock:
            self.answers.setdefault(mark, []).append(tuple(sorted(runs)))

    def acknowledged(self):
        """How many runs or changes were acknowledged, and a copy of the answers by mark."""
        with self._lock:
            answers = {mark: list(given) for mark, given in self.answers.items()}
        return len(answers), answers
