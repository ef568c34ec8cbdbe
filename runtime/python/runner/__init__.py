"""Write analyses for the runner in Python.

An analysis is one function in a file of its own::

    from runner import http

    def analysis(context, scope):
        key = context.environment["API_KEY"]
        answer = http.get("https://api.example.com/readings", headers={"X-Api-Key": key})
        answer.raise_for_status()
        context.log("readings:", len(answer.json()))
        return {"readings": len(answer.json())}

`runtime/python/build analysis.py -o analysis.wasm` makes a module of it. What the function returns
becomes the run's result as JSON; an exception becomes its error, with the lines it came through.
"""

from .context import Context, Environment, Failure, Variable

__all__ = ["Context", "Environment", "Failure", "Variable"]
