"""What the proofs of single methods stand on: three callers, and a line of JSON for each method.

RUNNER_URL, RUNNER_TOKEN   the server and an administrator's token

Methods are called by their names in JavaScript, so that the lines of both languages meet.
"""

import json
import os
import re

from tagoio_sdk import Resources

URL = os.environ["RUNNER_URL"]
TOKEN = os.environ["RUNNER_TOKEN"]
REGION = {"api": URL, "sse": f"{URL}/events"}
NOWHERE = "0123456789abcdef01234567"


def resources(token):
    return Resources({"token": token, "region": REGION})


admin = resources(TOKEN)
stranger = resources("p-nobody")
# The token of an analysis that no policy allows anything.
ungranted_token = admin.analysis.create({"name": "without a policy"})["token"]
ungranted = resources(ungranted_token)


def equal(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def refused(call, message):
    """The message with which the call is refused."""
    try:
        answer = call()
    except Exception as error:
        said = str(error)
        # The SDK names its own kind of error for what the server says.
        equal(type(error).__name__, "TagoIORequestError")
        assert re.search(message, said), f"{said!r} does not match {message!r}"
        return said
    raise AssertionError(f"not refused: {answer!r}")


def works(method):
    """Proves, by the function that follows, that a method does its work."""

    def prove(proof):
        proof()
        print(json.dumps({"method": method, "verdict": "works"}))

    return prove


def is_refused(method, call, message):
    """Proves that a method is refused, and says what there is instead."""
    says = refused(call, message)
    print(json.dumps({"method": method, "verdict": "refused", "says": says}))


def guarded(call, action, kind):
    """Refused with a wrong token, and to an analysis without this action on this type."""
    refused(lambda: call(stranger), "^Invalid token")
    refused(lambda: call(ungranted), f"^Authorization Denied.*`{action}`.*`{kind}`")


def lists(rows_of, name, make):
    """Pages, orders, fields and filters of a list whose rows have this name and can be made so."""

    def marked(color):
        return [{"key": "listed", "value": "yes"}, {"key": "color", "value": color}]

    make("Pump_one", marked("red"))
    make("pump_two", marked("blue"))
    make("Valve", marked("red"))
    mine = {"tags": [{"key": "listed"}]}

    def names(**query):
        # The SDK takes filters out of what it is given.
        asked = {"fields": ["id", name], "filter": dict(mine), **query}
        return [row[name] for row in rows_of(admin, asked)]

    every = ["Pump_one", "Valve", "pump_two"]
    equal(names(), every)
    equal(names(orderBy=[name, "desc"]), every[::-1])
    made = ["Pump_one", "pump_two", "Valve"]
    equal(names(orderBy=["created_at", "asc"]), made)
    equal(names(orderBy=["created_at", "desc"]), made[::-1])
    equal(names(page=1, amount=2), every[:2])
    equal(names(page=2, amount=2), every[2:])
    equal(names(page=3, amount=2), [])
    red = {"tags": [{"key": "listed"}, {"key": "color", "value": "red"}]}
    equal(names(filter=dict(red)), ["Pump_one", "Valve"])
    equal(names(filter={**red, name: "valve*"}), ["Valve"])
    equal(names(filter={**mine, name: "*PUMP*"}), ["Pump_one", "pump_two"])
    equal(names(filter={**mine, name: "Valve"}), ["Valve"])
    equal(names(filter={**mine, name: "*UMP_"}), [])
    if name == "name":
        equal(names(filter={**mine, "active": True}), every)
        equal(names(filter={**mine, "active": False}), [])

    row = rows_of(admin, {"fields": ["id", name, "created_at"], "filter": dict(mine)})[0]
    equal(set(row) - {"profile"}, {"id", name, "created_at", "tags"})
    usual = rows_of(admin, None)[0]
    assert usual["id"] and usual[name] and "tags" in usual, usual

    ordered = {"orderBy": ["nothing", "asc"]}
    refused(lambda: rows_of(admin, ordered), "cannot be ordered by nothing,asc")
    refused(lambda: rows_of(admin, {"filter": {"nothing": "x"}}), 'no filter "nothing"')
    refused(lambda: rows_of(admin, {"amount": 10_001}), 'amount is "10001"')
    refused(lambda: rows_of(stranger, {}), "^Invalid token")
    equal(rows_of(ungranted, {}), [])
