// Proves what each method of the original's SDK does here, one line of JSON for each; see scene.mjs.
// RUNNER_MODULE is a module.

await import("./secrets.mjs");
await import("./analysis.mjs");
await import("./devices.mjs");
await import("./rules.mjs");
