// Tells which records of the scope are above LIMIT.

import { Json, Kind, parse } from "./json";

main();

function main(): void {
  const limit = parse(setting("LIMIT"));
  if (!limit || limit.kind != Kind.Number) return fail("LIMIT is not a number: set it as a variable");
  const scope = parse(setting("T_ANALYSIS_DATA"));
  if (!scope || scope.kind != Kind.List) return fail("the scope is not a list of device records");
  let above = 0;
  for (let i = 0; i < scope.items.length; i++) {
    const record = scope.items[i];
    const value = record.get("value");
    if (!value || value.kind != Kind.Number || value.number <= limit.number) continue;
    above++;
    const shown = amount(value.number) + " " + record.textOf("unit");
    print(record.textOf("variable") + ": " + shown + " is above " + amount(limit.number));
  }
  const counts = above.toString() + " of " + scope.items.length.toString();
  print(counts + " records are above " + amount(limit.number));
}

function setting(key: string): string {
  return process.env.has(key) ? process.env.get(key) : "";
}

/** A number without the ".0" that AssemblyScript puts behind a whole one. */
function amount(value: f64): string {
  const text = value.toString();
  return text.endsWith(".0") ? text.substring(0, text.length - 2) : text;
}

function print(line: string): void {
  process.stdout.write(line + "\n");
}

function fail(line: string): void {
  process.stderr.write(line + "\n");
  process.exit(1);
}
