"""How late runs start that a clock starts: 10,000 actions that are due within one minute."""

import threading
import time

from client import Client
from database import Sqlite
from fixture import make_analysis, token
from node import Node

ACTIONS = 10_000
SPREAD_SECONDS = 60
THREADS = 4


def measure(place, module, binary):
    """Prints the two figures."""
    node = Node(place, "lateness", binary=binary)
    node.start()
    key = token(node)
    analysis = make_analysis(Client(node, key), "due", 0, module)
    database = Sqlite(node.data)
    script = {"type": "script", "script": [analysis]}

    # Intervals count from when they were made. Made evenly within a minute, they are due evenly, too.
    began = _make(node, key, lambda name: {"name": name, "type": "interval", "action": script,
                                           "trigger": [{"interval": "2 minutes"}]})
    _print("schedule lateness", _lateness(database, began + 120_000))

    # All of one cron are due at once; the spread is the product's own.
    at = time.gmtime(time.time() + SPREAD_SECONDS + 60)
    cron = {"cron": f"{at.tm_min} {at.tm_hour} * * *", "timezone": "UTC"}
    _make(node, key, lambda name: {"name": name, "type": "schedule", "action": script, "trigger": [cron],
                                   "spread_seconds": SPREAD_SECONDS, "misfire": "skip"})
    begin = (int(time.time()) // 60 + 1) * 60_000
    _print("lateness of one cron with a spread of a minute", _lateness(database, begin, "schedule"))
    node.stop()


def _make(node, key, body):
    """Makes the actions, evenly over a minute. Answers when it began, in milliseconds."""
    began = time.time()

    def work(first):
        client = Client(node, key)
        for number in range(first, ACTIONS, THREADS):
            time.sleep(max(0, began + number * SPREAD_SECONDS / ACTIONS - time.time()))
            client.request("POST", "/action", body(f"action {number}"))
        client.close()

    threads = [threading.Thread(target=work, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return int(began * 1000)


def _lateness(database, begin, kind="interval"):
    """Milliseconds from when each run was due to when it started, ascending."""
    end = begin + (SPREAD_SECONDS + 5) * 1000
    time.sleep(max(0, end / 1000 + 5 - time.time()))
    rows = database.rows(
        f"SELECT started_at - due_at FROM run WHERE cause_kind = '{kind}' "
        f"AND due_at >= {begin} AND due_at < {end} AND started_at IS NOT NULL ORDER BY 1"
    )
    if len(rows) < ACTIONS:
        raise RuntimeError(f"only {len(rows)} of {ACTIONS} runs started")
    return [late for (late,) in rows]


def _print(name, late):
    def share(part):
        return late[min(len(late) - 1, int(len(late) * part))]

    print(f"{name} p99: {share(0.99)} ms (median {share(0.5)} ms, worst {late[-1]} ms, {len(late)} runs)", flush=True)
