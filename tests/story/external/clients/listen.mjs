// Listens for the runs of an analysis, as somebody writes it who has the SDK and nothing of ours.
const sdk = await import(process.env.LISTENER_SDK);
// 12.0.0 is CommonJS.
const { Analysis } = sdk.Analysis ? sdk : sdk.default;

const url = process.env.LISTENER_URL;

Analysis.use(
  async (context, scope) => {
    const value = (key) => context.environment.find((entry) => entry.key === key)?.value;
    const seen = [
      `analysis ${context.analysis_id}`,
      `scope ${JSON.stringify(scope)}`,
      `plain ${value("PLAIN")}`,
      `both ${value("BOTH")}`,
      `key ${value("KEY")} of ${value("KEY")?.length}`,
      `sent ${value("SENT") ?? "absent"}`,
    ];
    context.log(seen.join("\n"));
  },
  { token: process.env.LISTENER_TOKEN, region: { api: url, sse: `${url}/events` } },
);
