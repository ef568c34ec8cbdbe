"""Watches cold stores: sums up the temperatures that their devices sent, and says which got warm.

The report may be shown to anybody: instead of a device's id it has a pseudonym, which only who
knows the secret key can trace back.
"""

import hashlib
import hmac
import statistics
from datetime import datetime

from runner import Failure

#: How many hexadecimal digits of a pseudonym are shown.
PSEUDONYM_DIGITS = 10


def analysis(context, scope):
    limit = number(context, "MAX_CELSIUS")
    patience = number(context, "PATIENCE_MINUTES")
    key = context.environment["PSEUDONYM_KEY"].encode()
    if not isinstance(scope, list):
        raise Failure("the scope is not a list of device records")
    stores = {}
    for at, record in enumerate(scope, 1):
        try:
            device, time, celsius = measurement(record)
        except ValueError as error:
            context.log(f"record {at} skipped: {error}")
            continue
        stores.setdefault(device, []).append((time, celsius))
    if not stores:
        raise Failure("no usable record in the scope")
    reports = [report(name(key, device), sorted(values), limit) for device, values in stores.items()]
    reports.sort(key=lambda report: report["store"])
    warm = [report for report in reports if report["warm_minutes"] > patience]
    for store in warm:
        context.log(f"{store['store']} was above {limit:g} °C for {store['warm_minutes']:g} minutes")
    return {"stores": reports, "alerts": [store["store"] for store in warm]}


def number(context, key):
    try:
        return float(context.environment[key])
    except ValueError:
        raise Failure(f"{key} is {context.environment[key]!r}, not a number") from None


def measurement(record):
    """Device, time and temperature in °C of a record; ValueError says why there are none."""
    if not isinstance(record, dict) or record.get("variable") != "temperature":
        raise ValueError("it is not a temperature")
    value, unit = record.get("value"), record.get("unit", "°C")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"its value is {value!r}, not a number")
    if unit not in ("°C", "°F"):
        raise ValueError(f"its unit is {unit!r}, not °C or °F")
    celsius = value if unit == "°C" else (value - 32) * 5 / 9
    return str(record.get("device")), datetime.fromisoformat(str(record.get("time"))), celsius


def report(store, values, limit):
    """What is told of one store; each value holds until the next."""
    celsius = [value for _, value in values]
    spans = zip(values, values[1:])
    warm = sum((end - start).total_seconds() for (start, value), (end, _) in spans if value > limit)
    return {
        "store": store,
        "records": len(values),
        "mean": round(statistics.fmean(celsius), 2),
        "max": round(max(celsius), 2),
        "warm_minutes": round(warm / 60, 1),
    }


def name(key, device):
    return hmac.new(key, device.encode(), hashlib.sha256).hexdigest()[:PSEUDONYM_DIGITS]
