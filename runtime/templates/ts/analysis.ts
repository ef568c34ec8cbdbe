// Tells which records of the scope are above LIMIT.

import { Analysis } from "runner";

/** What a device sent. */
interface DeviceRecord {
  variable: string;
  value: number;
  unit?: string;
}

Analysis.use(async (context, scope: DeviceRecord[]) => {
  const limit = Number(context.environment.LIMIT);
  if (Number.isNaN(limit)) throw new Error("LIMIT is not a number: set it as a variable");
  if (!Array.isArray(scope)) throw new Error("the scope is not a list of device records");
  const above = scope.filter((record) => record.value > limit);
  for (const { variable, value, unit } of above) {
    context.log(`${variable}: ${value} ${unit} is above ${limit}`);
  }
  return { records: scope.length, above: above.length };
});
