// The devices with a tag, and what each one is called. Written for TagoIO's Deno runtime: `npm:`
// names, the SDK as npm has it, the environment as the SDK reads it.
import { Analysis, Resources, Utils } from "npm:@tago-io/sdk";
import type { AnalysisConstructorParams } from "npm:@tago-io/sdk";

type Context = AnalysisConstructorParams & {
  log: (...args: unknown[]) => void;
  environment: { key: string; value: string }[];
};

async function listPumps(context: Context, scope: { kind: string }[]) {
  const environment = Utils.envToJson(context.environment);
  context.log("greeting", environment.GREETING);
  const devices = await Resources.devices.list({
    page: 1,
    fields: ["id", "name", "tags"],
    filter: { tags: [{ key: "kind", value: scope[0].kind }] },
    amount: 100,
  });
  for (const { name } of devices) {
    context.log("device", name);
  }
  try {
    await Resources.secrets.create({ key: "MINE", value: "abcdef", tags: [] });
  } catch (error) {
    context.log("refused", error);
  }
}

Analysis.use(listPumps);
