"""PostgreSQL restarts, crashes, and is out of reach, under load. The nodes are never restarted."""

import subprocess
import time

from client import Client, Refused, Unanswered
from database import Postgres
from node import ROOT, Node
from proxy import Proxy
from rounds import Scenario

LOAD_SECONDS = 5
UNREACHABLE_SECONDS = 30
# Longer than a lease: the other node takes over what this one holds, and this one's words come too late.
CUT_OFF_SECONDS = 45
RECOVERY_SECONDS = 40


def outage(place, module, _rounds):
    """Two nodes whose database goes away in each way once, first for both and then for one."""
    database = Postgres("outage")
    ways = [Proxy(database.url), Proxy(database.url)]
    nodes = [Node(place, name, way.url) for name, way in zip(("first", "second"), ways)]
    scenario = Scenario("outage", nodes, database, module)
    scenario.start_load()
    back = []
    for ending in ("stop", "kill"):
        time.sleep(LOAD_SECONDS)
        _server(ending)
        time.sleep(2)
        _server("start")
        back.append(_recovery(scenario, ending))
    for paused, seconds in ((ways, UNREACHABLE_SECONDS), (ways[:1], CUT_OFF_SECONDS)):
        time.sleep(LOAD_SECONDS)
        back.append(_silence(scenario, paused, seconds))
    time.sleep(LOAD_SECONDS)
    scenario.stop_load()
    scenario.problems += [f"{node.name} died by itself" for node in nodes if node.died()]
    times = ", ".join(f"{seconds:.1f}" for seconds in back)
    return scenario.finish(
        f"restarted, killed, unreachable for {UNREACHABLE_SECONDS} s, one node cut off for {CUT_OFF_SECONDS} s, "
        f"back after {times} s"
    )


def _silence(scenario, ways, seconds):
    """The database is out of reach for the first nodes; answers how long they take to work again."""
    health = Client(scenario.nodes[0])
    _expect_health(scenario, health, 200)
    for way in ways:
        way.pause()
    until = time.monotonic() + seconds
    _expect_health(scenario, health, 503)
    time.sleep(until - time.monotonic())
    for way in ways:
        way.resume()
    taken = _recovery(scenario, f"silence of {seconds} s")
    _expect_health(scenario, health, 200)
    return taken


def _server(verb):
    subprocess.run([ROOT / "scripts" / "server-control", "postgres", verb], check=True)


def _recovery(scenario, what):
    """How many seconds it takes until every node acknowledges and finishes a run."""
    began = time.monotonic()
    analysis = scenario.profile.analyses["short"]
    for node in scenario.nodes:
        client = Client(node, scenario.profile.token)
        while not _runs(client, scenario, analysis):
            if time.monotonic() - began > RECOVERY_SECONDS:
                scenario.problems.append(f"{node.name} does not work {RECOVERY_SECONDS} s after the {what}")
                break
            time.sleep(0.1)
        client.close()
    return time.monotonic() - began


def _runs(client, scenario, analysis):
    mark = scenario.ledger.mark("recovery")
    try:
        body = {"scope": {"mark": mark}}
        run = client.request("POST", f"/analysis/{analysis}/run?wait=5", body)["run"]
    except (Refused, Unanswered):
        return False
    scenario.ledger.acknowledge(mark, [run["id"]])
    return run["state"] == "succeeded"


def _expect_health(scenario, client, expected):
    """`/health` says it, even while the database is silent."""
    status = 200
    try:
        client.request("GET", "/health")
    except Refused as error:
        status = error.status
    except Unanswered as error:
        status = str(error)
    if status != expected:
        scenario.problems.append(f"/health answered {status} where {expected} is true")
