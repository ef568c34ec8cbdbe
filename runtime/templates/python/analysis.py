"""Tells which records of the scope are above LIMIT."""

from runner import Failure


def analysis(context, scope):
    try:
        limit = float(context.environment["LIMIT"])
    except ValueError:
        raise Failure("LIMIT is not a number: set it as a variable") from None
    if not isinstance(scope, list):
        raise Failure("the scope is not a list of device records")
    above = [record for record in scope if record["value"] > limit]
    for record in above:
        context.log(f"{record['variable']}: {record['value']} {record['unit']} is above {limit:g}")
    return {"records": len(scope), "above": len(above)}
