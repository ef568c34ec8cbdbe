"""Compares what was acknowledged with what is stored.

The tables are read behind the runner's back; scopes, which are sealed there, come through the API.
"""

import time
from collections import defaultdict

OPEN = ("queued", "running")

# Attempts that ended with their worker and not by themselves.
LOST = ("lost", "stopped")

DRAIN_SECONDS = 180
PAGE = 100


class Findings:
    """What is wrong, by kind. Each kind names its runs."""

    def __init__(self):
        self.lost = []
        self.doubled = []
        self.other = []

    def all(self):
        """Every finding in a line of its own."""
        named = (("lost", self.lost), ("doubled", self.doubled), ("wrong", self.other))
        return [f"{kind}: {what}" for kind, found in named for what in found]


class Checker:
    """Remembers outcomes between checks: what is final stays as it is."""

    def __init__(self, database, ledger, profile):
        self._database = database
        self._ledger = ledger
        self._profile = profile
        self._outcomes = {}
        self.findings = Findings()

    def drain(self):
        """Waits until every change is handled and no run that exists then waits or runs."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while changes := self._database.rows("SELECT sequence FROM event"):
            if time.monotonic() > deadline:
                self.findings.lost.append(f"{len(changes)} changes are not handled after {DRAIN_SECONDS} s")
                break
            time.sleep(0.2)
        select = "SELECT id FROM run WHERE state IN ('queued', 'running')"
        waiting = {run for (run,) in self._database.rows(select)}
        while waiting and time.monotonic() < deadline:
            time.sleep(0.2)
            waiting &= {run for (run,) in self._database.rows(select)}
        self.findings.lost += [f"run {run} is not over after {DRAIN_SECONDS} s" for run in waiting]

    def check(self):
        """Everything that the tables show. Answers how many runs, slots and lost attempts there are."""
        # Rows that come between two selects are of runs that are not looked at.
        attempts = self._attempts()
        runs = self._database.rows(
            "SELECT id, state, attempts, losses, finished_at, action_id, analysis_id, due_at, cause_kind FROM run"
        )
        known = {row[0] for row in runs}
        self._acknowledged(known)
        over = [row for row in runs if row[1] not in OPEN]
        for run, state, count, losses, finished, *_ in over:
            # Ended since the attempts were read.
            if run in attempts:
                self._outcome(run, (state, count, losses, finished), attempts[run])
        timed = [row for row in runs if row[8] in ("schedule", "interval")]
        slots = self._slots(timed, known)
        lost = sum(row[3] for row in runs)
        return len(runs), slots, lost

    def _attempts(self):
        attempts = defaultdict(list)
        over = "run_id IN (SELECT id FROM run WHERE state NOT IN ('queued', 'running'))"
        select = f"SELECT run_id, number, finished_at, fault_code FROM attempt WHERE {over} ORDER BY run_id, number"
        for run, *attempt in self._database.rows(select):
            attempts[run].append(tuple(attempt))
        return attempts

    def _acknowledged(self, known):
        for mark, answers in self._ledger.acknowledged()[1].items():
            if len(set(answers)) > 1:
                self.findings.doubled.append(f"{mark} was answered with different runs: {answers}")
            missing = {run for answer in answers for run in answer} - known
            self.findings.lost += [f"run {run} of {mark} was acknowledged and is not stored" for run in missing]

    def _outcome(self, run, outcome, attempts):
        state, count, losses, _ = outcome
        before = self._outcomes.setdefault(run, outcome)
        if before != outcome:
            self.findings.doubled.append(f"run {run} ended twice: {before}, then {outcome}")
        numbers = [number for number, _, _ in attempts]
        if numbers != list(range(1, count + 1)):
            self.findings.other.append(f"run {run} has the attempts {numbers}, not {count}")
        if any(finished is None for _, finished, _ in attempts):
            self.findings.other.append(f"run {run} is over and has an attempt that is not: {attempts}")
        own = [fault for _, _, fault in attempts if fault not in LOST]
        if len(own) > 1:
            self.findings.doubled.append(f"run {run} has several outcomes: {attempts}")
        gave_up = state == "dead" and losses >= 5
        if not gave_up and (state != "succeeded" or own != [None]):
            self.findings.other.append(f"run {run} is {state} after {attempts}")

    def _slots(self, timed, known):
        """Every instant has one outcome, and every started one its own run."""
        runs = defaultdict(list)
        for run, _, _, _, _, action, analysis, due, _ in timed:
            runs[action, analysis, due].append(run)
        for slot, started in runs.items():
            if len(started) > 1:
                self.findings.doubled.append(f"slot {slot} has the runs {started}")
        select = "SELECT action_id, analysis_id, instant, last, instants, outcome, run_id FROM slot ORDER BY 1, 2, 3"
        slots = self._database.rows(select)
        before = {}
        recorded = set()
        for action, analysis, instant, last, instants, outcome, run in slots:
            slot, step = (action, analysis, instant), self._profile.steps[action]
            if instants != (last - instant) // step + 1:
                self.findings.other.append(f"slot {slot} counts {instants} instants up to {last}")
            expected = before.get((action, analysis))
            if expected is not None and instant != expected:
                self.findings.lost.append(f"slot {slot}: the instant before it is not {expected - step}")
            before[action, analysis] = last + step
            if outcome in ("ran", "caught_up"):
                recorded.add(run)
                if run not in known and run not in self._known_now(run):
                    self.findings.lost.append(f"slot {slot} names run {run}, which is not stored")
            elif outcome not in ("skipped", "missed"):
                self.findings.other.append(f"slot {slot} is {outcome}")
        for slot, started in runs.items():
            if not recorded.intersection(started):
                self.findings.other.append(f"run {started} was started for {slot} without a slot")
        return len(slots)

    def _known_now(self, run):
        return {row[0] for row in self._database.rows(f"SELECT id FROM run WHERE id = '{run}'")}

    def check_marks(self, client):
        """Every mark became at most one run, and what was acknowledged became exactly that one."""
        found = defaultdict(list)
        page = 1
        while rows := client.request("GET", f"/runs?page={page}&amount={PAGE}&fields[0]=scope"):
            for row in rows:
                found[mark_of(row["scope"])].append(row["id"])
            page += 1
        found.pop(None, None)
        _, answers = self._ledger.acknowledged()
        for mark, runs in found.items():
            if len(runs) > 1:
                self.findings.doubled.append(f"{mark} became the runs {runs}")
        for mark, given in answers.items():
            runs = found.get(mark, [])
            if not runs:
                self.findings.lost.append(f"{mark} was acknowledged and became no run")
            elif given[0] and set(given[0]) != set(runs):
                self.findings.other.append(f"{mark} was answered with {given[0]} and became {runs}")


def mark_of(scope):
    """The mark in the scope of a run: sent as it is, or as a tag of the resource that was made."""
    if isinstance(scope, dict):
        return scope.get("mark")
    for change in scope:
        for tag in change.get("tags", []):
            if tag["key"] == "mark":
                return tag["value"]
    return None
