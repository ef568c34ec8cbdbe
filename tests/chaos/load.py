"""Threads that ask for runs in every way while nodes die.

A request whose answer did not come is sent again where the server promises that this starts nothing twice:
with an idempotency key, or with a signature that it remembers.
"""

import hashlib
import hmac
import itertools
import json
import random
import threading
import time

from client import Client, Refused, Unanswered
from fixture import SECRET

# The pause between two requests of a thread: a queue that only grows would test nothing else.
PAUSE_SECONDS = 0.015

# What the server says while it cannot work, beside not answering at all.
EXPECTED = (429, 503)


class Load:
    """Runs until it is stopped. `problems` are answers that a client must never get."""

    def __init__(self, nodes, profile, ledger):
        self._nodes = itertools.cycle(nodes)
        self._profile = profile
        self._ledger = ledger
        self._stopped = threading.Event()
        self.problems = []
        ways = [self._plain, self._keyed, self._keyed, self._changes, self._unsigned, self._signed]
        self._threads = [threading.Thread(target=self._work, args=(way,)) for way in ways]
        for thread in self._threads:
            thread.start()

    def stop(self):
        """Ends the load; what was not answered yet is given up."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _work(self, way):
        try:
            while not self._stopped.is_set():
                way()
                time.sleep(PAUSE_SECONDS)
        except Exception as error:  # The thread's own; it would go unseen.
            self.problems.append(f"{way.__name__}: {error!r}")

    def _client(self):
        """A connection to a node of this thread's turn. A new node each time: answers must agree."""
        return Client(next(self._nodes), self._profile.token)

    def _send(self, kind, request, again):
        """Sends one request, again and again if that is harmless. `request` answers the ids it became."""
        mark = self._ledger.mark(kind)
        while True:
            client = self._client()
            try:
                self._ledger.acknowledge(mark, request(client, mark))
                # The same once more now and then: it must be the same run.
                if not again or random.random() > 0.1:
                    return
            except Unanswered:
                pass
            except Refused as error:
                if error.status not in EXPECTED:
                    self.problems.append(f"{mark}: {error}")
                    return
            finally:
                client.close()
            if not again or self._stopped.is_set():
                return
            time.sleep(0.05)

    def _run(self, client, mark, headers=None):
        analysis = random.choice(list(self._profile.analyses.values()))
        return self._start(client, mark, analysis, headers)

    @staticmethod
    def _start(client, mark, analysis, headers):
        body = {"scope": {"mark": mark}}
        return [client.request("POST", f"/analysis/{analysis}/run", body, headers)["run"]]

    def _plain(self):
        self._send("plain", self._run, again=False)

    def _keyed(self):
        # One analysis for all tries: the key belongs to it.
        analysis = random.choice(list(self._profile.analyses.values()))

        def request(client, mark):
            return self._start(client, mark, analysis, {"idempotency-key": mark})

        self._send("keyed", request, again=True)

    def _changes(self):
        """Makes a secret that an action listens to. The answer names no run."""

        def request(client, mark):
            key = mark.upper().replace("-", "_")
            tags = [{"key": "chaos", "value": "yes"}, {"key": "mark", "value": mark}]
            client.request("POST", "/secrets", {"key": key, "value": "x", "tags": tags})
            return []

        self._send("change", request, again=False)
        time.sleep(0.2)

    def _unsigned(self):
        def request(client, mark):
            return client.request("POST", self._profile.unsigned_hook, {"mark": mark})["runs"]

        self._send("unsigned", request, again=False)

    def _signed(self):
        def request(client, mark):
            body = json.dumps({"mark": mark}).encode()
            signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
            headers = {"x-hub-signature-256": f"sha256={signature}", "content-type": "application/json"}
            return client.request("POST", self._profile.signed_hook, body, headers)["runs"]

        self._send("signed", request, again=True)
