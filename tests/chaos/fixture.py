"""What is set up on a new node: analyses, and actions of every kind that start them."""

import subprocess

from client import Client
from node import ROOT

SLEEPER = ROOT / "target" / "chaos" / "sleeper.wasm"

# How long a run of each analysis waits: most are over at once, some are hit by a kill.
PAUSES_MS = {"short": 5, "long": 400}

SECRET = "chaos"


def sleeper():
    """The bytes of the analysis that waits."""
    SLEEPER.parent.mkdir(parents=True, exist_ok=True)
    source = ROOT / "tests" / "chaos" / "sleeper.rs"
    command = ["rustc", "--target", "wasm32-wasip1", "--edition", "2024", "-O", "-C", "strip=symbols"]
    subprocess.run([*command, "-o", SLEEPER, source], check=True)
    return SLEEPER.read_bytes()


def token(node):
    """A new token of an administrator."""
    return node.command("token", "create", "--role", "administrator")


def make_analysis(client, name, pause_ms, module, limits=None):
    """An analysis with the variable PAUSE_MS. Answers its id."""
    variables = [{"key": "PAUSE_MS", "value": str(pause_ms)}]
    body = {"name": name, "variables": variables, "limits": limits or {}}
    made = client.request("POST", "/analysis", body)["id"]
    kind = {"content-type": "application/wasm"}
    client.request("POST", f"/analysis/{made}/upload?file_name=sleeper.wasm", module, kind)
    return made


class Profile:
    """The ids of what was set up."""

    def __init__(self, node, module):
        self.token = token(node)
        client = Client(node, self.token)
        self.analyses = {
            name: make_analysis(client, name, pause, module) for name, pause in PAUSES_MS.items()
        }
        # The step of each timed action in milliseconds, by its id.
        self.steps = {}
        for overlap in ("allow", "skip", "queue"):
            trigger = {"type": "interval", "trigger": [{"interval": "1 second"}], "overlap": overlap}
            self.steps[self._action(client, overlap, trigger, *self.analyses)] = 1_000
        every_minute = [{"cron": "* * * * *", "timezone": "Europe/London"}]
        minutely = self._action(client, "minutely", {"type": "schedule", "trigger": every_minute}, "short")
        self.steps[minutely] = 60_000
        listened = {"resource": "secrets", "when": "create", "tag_key": "chaos", "tag_value": "yes"}
        self._action(client, "rotation", {"type": "resource", "trigger": [listened]}, "short")
        self._hooks(client)

    def _action(self, client, name, rules, *analyses):
        script = {"type": "script", "script": [self.analyses[name] for name in analyses]}
        return client.request("POST", "/action", {"name": name, "action": script, **rules})["action"]

    def _hooks(self, client):
        """The paths of an unsigned and of a signed webhook."""
        tags = [{"key": "team", "value": "hooks"}]
        secret = client.request("POST", "/secrets", {"key": "HOOK", "value": SECRET, "tags": tags})["id"]
        unsigned = {"type": "webhook", "trigger": [{"unsigned": True}]}
        signed = {"type": "webhook", "trigger": [{"secret": secret, "form": "github"}]}
        made = [self._action(client, "hook", rules, "short") for rules in (unsigned, signed)]
        self.unsigned_hook, self.signed_hook = (f"/hook/{action}" for action in made)

    def switch_off(self, client):
        """No timed action starts anything from here on."""
        for action in self.steps:
            client.request("PUT", f"/action/{action}", {"active": False})
