// Asks a price list for the tariffs of the devices in the scope, with a secret key in a header, and
// tells what the energy that they report costs.

import { Analysis } from "runner";

interface DataRecord {
  device: string;
  variable: string;
  value: number;
  unit?: string;
}

interface Tariff {
  unit: string;
  cents: number;
}

const VARIABLE = "energy";

function energyOf(scope: unknown): DataRecord[] {
  if (!Array.isArray(scope)) throw new Error("the scope is not a list of device records");
  return (scope as DataRecord[]).filter(({ variable, value }) => {
    return variable === VARIABLE && typeof value === "number";
  });
}

Analysis.use(async (context, scope) => {
  const { API_URL: api, PRICE_KEY: key } = context.environment;
  if (!api || !key) throw new Error("API_URL and PRICE_KEY are not both in the environment");
  const response = await fetch(new URL("/v1/tariffs?variable=energy", api), {
    headers: { authorization: `Bearer ${key}`, accept: "application/json" },
    signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) throw new Error(`the price list answers ${response.status}`);
  const tariff = (await response.json()) as Tariff;
  let cents = 0;
  for (const { device, value, unit } of energyOf(scope)) {
    if (unit !== tariff.unit) {
      context.log(`${device} reports ${unit}, and the tariff is for ${tariff.unit}`);
      continue;
    }
    cents += value * tariff.cents;
  }
  const cost = (cents / 100).toFixed(2);
  context.log(`${cost} EUR at ${tariff.cents} cents a ${tariff.unit}`);
  return { cost };
});
