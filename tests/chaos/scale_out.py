"""What more workers bring: completions per second of runs that wait 50 ms, on PostgreSQL."""

import time

from client import Client
from database import Postgres
from fixture import make_analysis, token
from node import Node

PAUSE_MS = 50

# Runs for each worker: enough for ten seconds where waiting is all that takes time.
RUNS = 200


def measure(place, module, binary):
    """Prints the ratio."""
    one = _completions(place, module, binary, nodes=1, guests=1)
    four = _completions(place, module, binary, nodes=2, guests=2)
    print(f"scale-out: {four / one:.2f} (4 workers {four:.1f} runs/s, 1 worker {one:.1f} runs/s)", flush=True)


def _completions(place, module, binary, nodes, guests):
    """Completions per second with so many nodes of so many guests each."""
    database = Postgres(f"scale_{nodes}")
    folder = place / f"scale-{nodes}"
    folder.mkdir()
    settings = {"RUNNER_GUESTS": str(guests)}
    started = [Node(folder, f"node-{number}", database.url, settings, binary) for number in range(nodes)]
    for node in started:
        node.start()
    client = Client(started[0], token(started[0]))
    analysis = make_analysis(client, "waits", PAUSE_MS, module)
    # Every node has compiled the module before it counts.
    count = RUNS * nodes * guests
    for _ in range(count):
        client.request("POST", f"/analysis/{analysis}/run", {})
    while database.rows("SELECT 1 FROM run WHERE state IN ('queued', 'running') LIMIT 1"):
        time.sleep(0.5)
    ended = [at for (at,) in database.rows("SELECT finished_at FROM run WHERE state = 'succeeded' ORDER BY 1")]
    for node in started:
        node.stop()
    if len(ended) != count:
        raise RuntimeError(f"only {len(ended)} of {count} runs succeeded")
    # Without the first and the last tenth: there not all workers are busy.
    middle = ended[count // 10 : -count // 10]
    return (len(middle) - 1) * 1000 / (middle[-1] - middle[0])
