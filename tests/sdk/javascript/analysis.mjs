import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { Resources, admin, guarded, lists, nowhere, refused, region, works } from "./scene.mjs";

const module = await readFile(process.env.RUNNER_MODULE);
const gone = /^Analysis can't be found$/;

await works("analysis.list", () =>
  lists((by, query) => by.analysis.list(query), "name", (name, tags) => admin.analysis.create({ name, tags })));

let id;
await works("analysis.create", async () => {
  const made = await admin.analysis.create({
    name: "methods",
    description: "of the SDK",
    runtime: "node-rt2025",
    run_on: "tago",
    active: true,
    tags: [{ key: "team", value: "blue" }],
    variables: [{ key: "REGION", value: "eu" }, { key: "RETRIES", value: 3 }],
  });
  assert.match(made.id, /^[0-9a-f]{24}$/);
  assert.match(made.token, /^a-.{34}$/);
  id = made.id;
  await refused(admin.analysis.create({ name: "" }), /a name has 1 to 100 characters/);
  await refused(admin.analysis.create({}), /needs a name/);
  await guarded((by) => by.analysis.create({ name: "x" }), "create", "analysis");
});
await works("analysis.uploadScript", async () => {
  const file = { name: "methods.wasm", content: module.toString("base64"), language: "node" };
  assert.equal(await admin.analysis.uploadScript(id, file), "Analysis Script Successfully Uploaded");
  await refused(admin.analysis.uploadScript(id, { ...file, content: "no base64!" }), /not base64/);
  await refused(admin.analysis.uploadScript(nowhere, file), gone);
  await guarded((by) => by.analysis.uploadScript(id, file), "upload", "analysis");
});
await works("analysis.info", async () => {
  const shown = await admin.analysis.info(id);
  const fields = [
    "active", "console", "created_at", "description", "file_name", "id", "last_run", "name", "profile",
    "run_on", "runtime", "tags", "token", "updated_at", "variables", "version", "versions",
  ];
  for (const field of fields) assert.ok(field in shown, field);
  assert.deepEqual([shown.file_name, shown.version, shown.last_run], ["methods.wasm", 1, "never"]);
  const { file_name, created_at, created_by } = shown.versions["1"];
  assert.ok(file_name === "methods.wasm" && created_at && created_by);
  assert.deepEqual(shown.variables[1], { key: "RETRIES", value: 3 });
  assert.match(shown.token, /^a-….{4}$/);
  await refused(admin.analysis.info(nowhere), gone);
  await refused(admin.analysis.info("x"), gone);
  await guarded((by) => by.analysis.info(id), "access", "analysis");
});
await works("analysis.downloadScript", async () => {
  for (const options of [undefined, { version: 1 }]) {
    const link = await admin.analysis.downloadScript(id, options);
    assert.equal(link.size_unit, "KB");
    assert.ok(link.size > 0 && link.expire_at > new Date());
    const response = await fetch(link.url);
    assert.ok(gunzipSync(Buffer.from(await response.arrayBuffer())).equals(module));
  }
  await refused(admin.analysis.downloadScript(id, { version: 9 }), /no version 9/);
  await guarded((by) => by.analysis.downloadScript(id), "download", "analysis");
});
await works("analysis.run", async () => {
  const started = await admin.analysis.run(id, [{ variable: "x", value: 1 }]);
  assert.match(started.analysis_token, /^a-/);
  await admin.analysis.run(id);
  // The one without a run is last either way.
  const query = { filter: { name: "*" }, fields: ["name", "last_run"], amount: 100 };
  for (const way of ["asc", "desc"]) {
    const rows = await admin.analysis.list({ ...query, orderBy: ["last_run", way] });
    assert.deepEqual(rows.map((row) => row.last_run === "never").lastIndexOf(false), 0, way);
  }
  await refused(admin.analysis.run(nowhere, []), gone);
  await guarded((by) => by.analysis.run(id, []), "run", "analysis");
});
await works("analysis.edit", async () => {
  const change = { description: "edited", variables: [], tags: [] };
  assert.equal(await admin.analysis.edit(id, change), "Successfully Updated");
  const shown = await admin.analysis.info(id);
  assert.deepEqual([shown.description, shown.variables, shown.tags], ["edited", [], []]);
  await refused(admin.analysis.edit(id, { variables: [{ key: "A B", value: 1 }] }), /A B/);
  await refused(admin.analysis.edit(nowhere, change), gone);
  await guarded((by) => by.analysis.edit(id, { name: "mine" }), "edit", "analysis");
});
await works("analysis.tokenGenerate", async () => {
  const { analysis_token: first } = await admin.analysis.tokenGenerate(id);
  const { analysis_token: second } = await admin.analysis.tokenGenerate(id);
  assert.match(second, /^a-.{34}$/);
  assert.deepEqual(await new Resources({ token: second, region }).secrets.list(), []);
  await refused(new Resources({ token: first, region }).secrets.list(), /^Invalid token/);
  await refused(admin.analysis.tokenGenerate(nowhere), gone);
});
await works("analysis.delete", async () => {
  await guarded((by) => by.analysis.delete(id), "delete", "analysis");
  assert.equal(await admin.analysis.delete(id), "Successfully Removed");
  await refused(admin.analysis.delete(id), gone);
});
