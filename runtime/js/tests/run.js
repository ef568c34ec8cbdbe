
import { Analysis as analysis_ } from "runner";
analysis_.use(async (context, scope) => {
  const failed = [];
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test(context, scope);
    } catch (error) {
      failed.push(`${name}: ${error?.stack ? `${error.message}\n${error.stack}` : error}`);
    }
  }
  if (failed.length > 0) throw new Error(`${failed.length} failed\n${failed.join("\n")}`);
  return Object.keys(tests).length;
});
