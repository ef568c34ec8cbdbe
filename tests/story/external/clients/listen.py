"""Listens for the runs of an analysis, as somebody writes it who has the SDK and nothing of ours."""

import json
import os

from tagoio_sdk import Analysis


def seen(context, scope):
    values = {entry["key"]: entry["value"] for entry in context.environment}
    key = values.get("KEY", "")
    lines = [
        f"analysis {context.analysis_id}",
        f"scope {json.dumps(scope, separators=(',', ':'))}",
        f"plain {values.get('PLAIN')}",
        f"both {values.get('BOTH')}",
        f"key {key} of {len(key)}",
        f"sent {values.get('SENT', 'absent')}",
    ]
    context.log("\n".join(lines))


url = os.environ["LISTENER_URL"]
region = {"api": url, "sse": f"{url}/events"}
Analysis.use(seen, {"token": os.environ["LISTENER_TOKEN"], "region": region})
