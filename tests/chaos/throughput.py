"""Acknowledged durable runs per second over HTTP, against workerd answering from the same binding."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from client import Client
from database import Sqlite
from fixture import make_analysis, token
from node import ROOT, Node

HERE = Path(__file__).parent
WORKERD = "1.20261117.1"
CONNECTIONS = 16
SECONDS = 10
ROUNDS = 3


def measure(place, _module, binary):
    """Prints the ratio, and the disk's flush beside it."""
    if not shutil.which("wrk"):
        sys.exit("measure: wrk is not installed; install it with the system's package manager")
    flush = _flush(place)
    node = Node(place, "throughput", binary=binary)
    node.start()
    key = token(node)
    module = (ROOT / "target" / "analyses" / "bench-guest.wasm").read_bytes()
    analysis = make_analysis(Client(node, key), "answers", 0, module, {"queued_runs": 1_000_000})
    database = Sqlite(node.data)
    workerd, address = _workerd()
    ours, theirs, completions = [], [], []
    try:
        # In turns, so that a machine that is busy with something else slows both down alike.
        for _ in range(ROUNDS):
            theirs.append(_requests(f"{address}/", ""))
            began = time.time()
            ours.append(_requests(f"{node.url}/analysis/{analysis}/run", key))
            completions.append(_completed(database, began, time.time()))
            _drain(database)
    finally:
        workerd.kill()
        workerd.wait()
    node.stop()
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(
        f"against workerd: {mine / other:.2f} (acknowledged {mine:.0f} runs/s, completed "
        f"{statistics.median(completions):.0f} runs/s, workerd {other:.0f} requests/s, flush {flush:.0f} µs)",
        flush=True,
    )


def _flush(place):
    """The median of a flush of 4 KiB on the disk of the data directory, in microseconds."""
    taken = []
    file = os.open(place / "flush", os.O_CREAT | os.O_WRONLY, 0o600)
    for number in range(300):
        os.pwrite(file, bytes(4096), number * 4096)
        began = time.perf_counter()
        os.fsync(file)
        taken.append((time.perf_counter() - began) * 1e6)
    os.close(file)
    return statistics.median(taken)


def _workerd():
    """A workerd that listens, and its address."""
    folder = ROOT / "target" / "chaos" / "workerd"
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "node_modules" / ".bin" / "workerd"
    if not binary.exists():
        command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([*command, "--prefix", folder, f"workerd@{WORKERD}"], check=True, stdout=sys.stderr)
    control = ["--socket-addr", "http=127.0.0.1:0", "--control-fd=1"]
    command = [binary, "serve", HERE / "workerd" / "config.capnp", *control]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    # It says {"event":"listen","socket":"http","port":…}.
    port = re.search(rb'"port":\s*(\d+)', process.stdout.readline())
    if port is None:
        process.kill()
        sys.exit("measure: workerd does not listen")
    return process, f"http://127.0.0.1:{int(port[1])}"


def _requests(url, key):
    """Answered requests per second."""
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s"]
    command += ["--script", HERE / "post.lua", url]
    environment = os.environ | {"TOKEN": key}
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"not every request was answered well:\n{told}")
    return float(re.search(r"Requests/sec:\s*([\d.]+)", told)[1])


def _completed(database, began, ended):
    between = f"finished_at BETWEEN {began * 1000:.0f} AND {ended * 1000:.0f}"
    (completed,) = database.rows(f"SELECT COUNT(*) FROM run WHERE state = 'succeeded' AND {between}")[0]
    return completed / (ended - began)


def _drain(database):
    while database.rows("SELECT 1 FROM run WHERE state IN ('queued', 'running') LIMIT 1"):
        time.sleep(0.2)
