"""Nodes are killed under load, again and again, and then what they stored is checked."""

import random
import time

from check import Checker
from client import Client
from database import Postgres, Sqlite
from ledger import Ledger
from load import Load
from node import Node
from fixture import Profile

CHECK_EVERY = 20


class Scenario:
    """Nodes on one store, a load on them, and what is checked of it."""

    def __init__(self, name, nodes, database, module):
        self.name = name
        self.nodes = nodes
        self.problems = []
        # The first one begins the store and makes the root key that the others share.
        for node in nodes:
            node.start()
        self.profile = Profile(nodes[0], module)
        self.ledger = Ledger()
        self.checker = Checker(database, self.ledger, self.profile)
        self._load = None

    def start_load(self):
        """Starts to ask for runs."""
        self._load = Load(self.nodes, self.profile, self.ledger)

    def stop_load(self):
        """Stops to ask for runs."""
        self._load.stop()
        self.problems += self._load.problems

    def check(self):
        """Without load: what was asked for ends, and is what was acknowledged."""
        self.checker.drain()
        return self.checker.check()

    def finish(self, told):
        """The last check. Prints the line of the scenario and what is wrong; answers whether all is well."""
        client = Client(self.nodes[0], self.profile.token)
        self.profile.switch_off(client)
        runs, slots, lost_attempts = self.check()
        self.checker.check_marks(client)
        for node in self.nodes:
            self.problems += [f"{node.name}: {line}" for line in node.panics()]
            node.stop()
        findings = self.checker.findings
        acknowledged, _ = self.ledger.acknowledged()
        print(
            f"chaos {self.name}: {told}, acknowledged {acknowledged}, lost {len(findings.lost)}, "
            f"doubled {len(findings.doubled)} (runs {runs}, slots {slots}, attempts cut off {lost_attempts})",
            flush=True,
        )
        wrong = list(dict.fromkeys(findings.all() + self.problems))
        for line in wrong[:20]:
            print(f"chaos {self.name}: {line}", flush=True)
        return not wrong and acknowledged > 0


def kill_rounds(scenario, rounds, victims):
    """Kills what `victims` chooses of the nodes after a random time under load, and starts it again."""
    for number in range(1, rounds + 1):
        if number % CHECK_EVERY == 1:
            scenario.start_load()
        time.sleep(random.uniform(0.3, 2))
        killed = victims(scenario.nodes)
        scenario.problems += [f"{node.name} died by itself" for node in scenario.nodes if node.died()]
        for node in killed:
            node.kill()
        time.sleep(random.uniform(0, 0.3))
        for node in killed:
            node.start()
        if number % CHECK_EVERY == 0 or number == rounds:
            scenario.stop_load()
            scenario.check()
    return scenario.finish(f"rounds {rounds}")


def sqlite(place, module, rounds):
    """One node on SQLite."""
    node = Node(place, "sqlite")
    return kill_rounds(Scenario("sqlite", [node], Sqlite(node.data), module), rounds, lambda nodes: nodes)


def postgres(place, module, rounds):
    """Two nodes on PostgreSQL; either dies, or both at once."""
    database = Postgres("chaos")
    nodes = [Node(place, name, database.url) for name in ("first", "second")]
    choices = [nodes[:1], nodes[1:], nodes]
    scenario = Scenario("postgres", nodes, database, module)
    return kill_rounds(scenario, rounds, lambda _: random.choice(choices))
