// The whole story of the product, told with the original's own SDK, unmodified.
//
//   RUNNER_URL, RUNNER_TOKEN   the server and an administrator's token
//   RUNNER_MODULE              the module of the sample verify-webhook
//   RUNNER_SCOPE               its scope, as JSON text
//   RUNNER_SECRET              the value of its secret
//
// Ends with exit code 0 and the number of answers that were looked through.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";

const { RUNNER_URL: url, RUNNER_TOKEN: token, RUNNER_SECRET: value } = process.env;
const module = await readFile(process.env.RUNNER_MODULE);
const scope = JSON.parse(process.env.RUNNER_SCOPE);

// Every answer that the SDK or this script gets is kept, to be searched at the end.
const answers = [];
const realFetch = globalThis.fetch;
globalThis.fetch = async (...request) => {
  const response = await realFetch(...request);
  const bytes = Buffer.from(await response.clone().arrayBuffer());
  const headers = [...response.headers].map((pair) => pair.join(": ")).join("\n");
  answers.push({ url: response.url, text: `${headers}\n${bytes.toString("latin1")}` });
  return response;
};

// Node finds no names in this CommonJS package, only its default.
const { Device, Resources } = (await import("@tago-io/sdk")).default;
const nowhere = "0123456789abcdef01234567";
const region = { api: url, sse: `${url}/events` };
const admin = new Resources({ token, region });

/** Our own routes, which the SDK does not know. */
async function get(path, by = token) {
  const response = await fetch(url + path, { headers: { token: by } });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  return body.result;
}

/** The SDK throws the message of a refusal as a string. */
async function refused(promise, message) {
  await assert.rejects(
    async () => {
      await promise;
    },
    (thrown) => {
      assert.equal(typeof thrown, "string", `not a message: ${JSON.stringify(thrown)}`);
      assert.match(thrown, message);
      return true;
    },
  );
}

const SECRET = "WEBHOOK_SECRET";

// ---- A secret: its value goes in and never comes out.
const tags = [{ key: "env", value: "prod" }];
const made = await admin.secrets.create({ key: SECRET, value, tags });
assert.match(made.id, /^[0-9a-f]{24}$/);
await refused(admin.secrets.create({ key: SECRET, value, tags }), /WEBHOOK_SECRET exists/);
const decoy = await admin.secrets.create({
  key: "UNRELATED",
  value: `not ${value}`,
  tags: [{ key: "env", value: "dev" }],
});

const listed = await admin.secrets.list();
assert.deepEqual(listed.map((row) => row.key), ["UNRELATED", SECRET]);
const found = await admin.secrets.list({
  page: 1,
  amount: 5,
  fields: ["id", "key", "tags", "value_length", "created_at"],
  filter: { tags },
  orderBy: ["key", "asc"],
});
assert.equal(found.length, 1);
assert.equal(found[0].key, SECRET);
assert.equal(found[0].value_length, value.length);
assert.ok(!Number.isNaN(new Date(found[0].created_at).getTime()));
assert.equal((await admin.secrets.list({ filter: { key: SECRET } }))[0].id, made.id);
const info = await admin.secrets.info(made.id);
assert.equal(info.key, SECRET);
assert.deepEqual(info.tags, tags);
assert.equal(info.value_length, value.length);
assert.equal(info.value, undefined);
assert.ok(info.updated_at instanceof Date);

// ---- An analysis with a module.
const plain = [
  { key: "REGION", value: "eu" },
  { key: "RETRIES", value: 3 },
];
const { id, token: analysisToken } = await admin.analysis.create({
  name: "verify-webhook",
  runtime: "wasm",
  run_on: "tago",
  active: true,
  tags: [{ key: "team", value: "blue" }],
  variables: plain,
});
assert.match(analysisToken, /^a-[0-9A-Za-z]{34}$/);
await refused(admin.analysis.run(id, scope), /no module/);
const uploaded = await admin.analysis.uploadScript(id, {
  name: "verify-webhook.wasm",
  content: module.toString("base64"),
  language: "node",
});
assert.equal(uploaded, "Analysis Script Successfully Uploaded");
const [row] = await admin.analysis.list({
  filter: { name: "verify-webhook" },
  fields: ["id", "active", "last_run"],
});
assert.equal(row.id, id);
assert.equal(row.active, true);
let analysis = await admin.analysis.info(id);
assert.equal(analysis.version, 1);
assert.equal(analysis.versions["1"].file_name, "verify-webhook.wasm");
assert.deepEqual(analysis.variables, plain);
assert.notEqual(analysis.token, analysisToken);
assert.ok(analysis.created_at instanceof Date);

/** Runs the analysis and answers the finished run; the SDK only acknowledges the start. */
async function run(given) {
  const started = await admin.analysis.run(id, given);
  assert.match(started.analysis_token, /^a-/);
  // The token of the answer is enough to read this run.
  const ended = await get(`/runs/${started.run}?wait=50`, started.analysis_token);
  assert.ok(ended.finished_at, JSON.stringify(ended));
  return ended;
}

/** Where the key came from in a run; undefined if the guest did not see it. */
const origin = (ended) => ended.environment.find((entry) => entry.key === SECRET)?.origin;

/** The guest saw the right value of the secret. */
async function seen(from = "secret") {
  const ended = await run(scope);
  assert.equal(ended.state, "succeeded", JSON.stringify(ended));
  assert.deepEqual(ended.result, { valid: true });
  assert.equal(origin(ended), from);
  return ended;
}

/** The guest saw another value under the key. */
async function another(from) {
  const ended = await run(scope);
  assert.equal(ended.state, "succeeded", JSON.stringify(ended));
  assert.deepEqual(ended.result, { valid: false });
  assert.equal(origin(ended), from);
}

/** The guest saw no such key. */
async function unseen() {
  const ended = await run(scope);
  assert.equal(ended.state, "failed", JSON.stringify(ended));
  assert.match(ended.fault.message, /WEBHOOK_SECRET is not in the environment/);
  assert.equal(origin(ended), undefined);
}

// ---- Without a policy there is no secret.
await unseen();

// ---- A policy grants it; only what its selector picks is seen.
const grant = {
  name: "webhook",
  active: true,
  tags: [],
  targets: [["analysis", "id", id]],
  permissions: [
    {
      effect: "allow",
      action: ["access"],
      resource: ["secrets", "tag.key", "env", "tag.value", "prod"],
    },
  ],
};
const { am_id: policy } = await admin.accessManagement.create(grant);
assert.match(policy, /^[0-9a-f]{24}$/);
const granted = await seen();
const keys = granted.environment.map((entry) => entry.key);
assert.deepEqual(keys, ["REGION", "RETRIES", SECRET, "_analysis_id", "_attempt", "_run_id"]);
const entry = granted.environment.find((one) => one.key === SECRET);
assert.deepEqual([entry.secret, entry.policy, entry.permission], [made.id, policy, 0]);
const policies = await admin.accessManagement.list();
assert.deepEqual(policies.map((one) => [one.id, one.name]), [[policy, "webhook"]]);
const read = await admin.accessManagement.info(policy);
assert.deepEqual(read.permissions, grant.permissions);
assert.deepEqual(read.targets, grant.targets);

// ---- The console, where the original shows it.
analysis = await admin.analysis.info(id);
const told = analysis.console.filter((line) => line.endsWith("] the signature is valid"));
assert.equal(told.length, 1, analysis.console.join("\n"));
assert.ok(analysis.last_run instanceof Date);

// ---- Another value, and back. Other tags, and back.
assert.equal(await admin.secrets.edit(made.id, { value: `${value}!` }), "Successfully Updated");
await another("secret");
await admin.secrets.edit(made.id, { value });
await seen();
await admin.secrets.edit(made.id, { tags: [{ key: "env", value: "dev" }] });
await unseen();
await admin.secrets.edit(made.id, { tags });
await seen();

// ---- A variable of the same key beats the secret; without it the secret is back.
await admin.analysis.edit(id, { variables: [{ key: SECRET, value: "from the variable" }] });
await another("variable");
await admin.analysis.edit(id, { variables: [] });
await seen();
// What was read can be sent back.
const { name, description, active, variables, tags: own } = await admin.analysis.info(id);
const edited = await admin.analysis.edit(id, { name, description, active, variables, tags: own });
assert.equal(edited, "Successfully Updated");

// ---- A deny in another policy beats the allow; so does switching the policy off.
const { am_id: deny } = await admin.accessManagement.create({
  ...grant,
  name: "not for team blue",
  targets: [["analysis", "tag.key", "team", "tag.value", "blue"]],
  permissions: [{ ...grant.permissions[0], effect: "deny", resource: ["secrets", "id", made.id] }],
});
await unseen();
const off = await admin.accessManagement.edit(deny, { active: false });
assert.equal(off, "Access Management Successfully Updated");
await seen();
await admin.accessManagement.edit(deny, { active: true });
await unseen();
assert.equal(await admin.accessManagement.delete(deny), "Access Management Successfully Deleted");
await seen();
const { targets, permissions } = grant;
await admin.accessManagement.edit(policy, { targets: [["analysis", "id", nowhere]] });
await unseen();
const others = { ...permissions[0], resource: ["secrets", "id", decoy.id] };
await admin.accessManagement.edit(policy, { targets, permissions: [others] });
await unseen();
await admin.accessManagement.edit(policy, { permissions });
await seen();
const misspelt = { ...permissions[0], effect: "denied" };
await refused(
  admin.accessManagement.create({ ...grant, permissions: [misspelt] }),
  /permissions\[0\]\.effect.*write "deny"/,
);

// ---- A wrong scope is the analysis's own business, and no scope is an empty list.
const wrong = await run({ ...scope, payload: "another" });
assert.deepEqual(wrong.result, { valid: false });
const none = await run(undefined);
assert.deepEqual(none.scope, []);
assert.match(none.fault.message, /needs a payload and a signature/);
await admin.analysis.edit(id, { active: false });
await refused(admin.analysis.run(id, scope), /switched off/);
await admin.analysis.edit(id, { active: true });

// ---- The module comes back, gzipped, as its bytes were.
const file = { name: "again.wasm", content: module.toString("base64"), language: "node" };
await admin.analysis.uploadScript(id, file);
for (const options of [undefined, { version: 1 }]) {
  const link = await admin.analysis.downloadScript(id, options);
  assert.equal(link.size_unit, "KB");
  assert.ok(link.expire_at instanceof Date && link.expire_at > new Date());
  const response = await fetch(link.url);
  assert.equal(response.status, 200);
  assert.ok(gunzipSync(Buffer.from(await response.arrayBuffer())).equals(module));
}

// ---- The analysis's own token: policies decide, and a new one ends the one before.
let itself = new Resources({ token: analysisToken, region });
await refused(itself.analysis.info(id), /^Authorization Denied/);
await refused(
  itself.secrets.create({ key: "MINE", value, tags }),
  /^Authorization Denied.*`create`.*`secrets`/,
);
assert.deepEqual(await itself.accessManagement.list(), []);
assert.deepEqual((await itself.secrets.list()).map((one) => one.key), [SECRET]);
assert.equal((await itself.secrets.info(made.id)).value, undefined);
await refused(itself.secrets.info(decoy.id), /^Authorization Denied/);
const rotated = await admin.analysis.tokenGenerate(id);
assert.match(rotated.analysis_token, /^a-/);
await refused(itself.secrets.list(), /^Invalid token/);
itself = new Resources({ token: rotated.analysis_token, region });
assert.equal((await itself.secrets.list()).length, 1);

// ---- A device: it sends its data, and the last of each variable is read again.
const boiler = await admin.devices.create({
  name: "boiler",
  network: nowhere,
  connector: nowhere,
  type: "immutable",
  chunk_period: "month",
  chunk_retention: 3,
  tags: [{ key: "site", value: "north" }],
});
assert.match(boiler.device_id, /^[0-9a-f]{24}$/);
assert.equal(boiler.bucket_id, boiler.device_id);
const sender = new Device({ token: boiler.token, region });
assert.equal((await sender.info()).name, "boiler");
const time = new Date("2026-01-01T00:00:00.000Z");
const sent = await sender.sendData([
  { variable: "temperature", value: 31.5, unit: "C", time, location: { lat: 1, lng: 2 } },
  { variable: "door", value: true, metadata: { by: "hand" } },
]);
assert.equal(sent, "2 Data Added");
const [temperature] = await sender.getData({ query: "last_value", variables: ["temperature"] });
assert.equal(temperature.value, 31.5);
assert.equal(temperature.device, boiler.device_id);
assert.deepEqual(temperature.location.coordinates, [2, 1]);
assert.deepEqual(temperature.time, time);
const one = { variable: "door", value: false };
assert.equal(await admin.devices.sendDeviceData(boiler.device_id, one), "1 Data Added");
const doors = { query: "last_item", variables: "door" };
assert.equal((await admin.devices.getDeviceData(boiler.device_id, doors))[0].value, false);
assert.equal((await admin.devices.getDeviceData(boiler.device_id, { query: "last_value" })).length, 2);
await refused(sender.getData({ variables: "door", qty: 5 }), /last record is kept.*last_value/);
await refused(sender.editData({ id: nowhere, value: 1 }), /not supported.*last_item/);
await refused(sender.deleteData({ variables: "door" }), /not supported/);
await refused(admin.devices.paramList(boiler.device_id), /no configuration parameters/);

const [device] = await admin.devices.list({
  filter: { tags: [{ key: "site", value: "north" }] },
  fields: ["id", "name", "active", "last_input"],
});
assert.equal(device.id, boiler.device_id);
assert.ok(device.last_input instanceof Date);
assert.equal(await admin.devices.edit(device.id, { description: "hot" }), "Successfully Updated");
const kept = await admin.devices.info(device.id);
assert.deepEqual([kept.description, kept.type, kept.chunk_retention], ["hot", "immutable", 3]);

const gateway = { name: "gateway", permission: "write", expire_time: "never" };
const reader = await admin.devices.tokenCreate(device.id, gateway);
const writing = new Device({ token: reader.token, region });
assert.equal(await writing.sendData({ variable: "door", value: true }), "1 Data Added");
await refused(writing.getData(doors), /^Authorization Denied/);
const tokens = await admin.devices.tokenList(device.id);
assert.deepEqual(tokens.map((row) => row.name), ["gateway", "Default"]);
assert.ok(tokens.every((row) => /^d-….{4}$/.test(row.token)), JSON.stringify(tokens));
await admin.devices.tokenDelete(reader.token);
await refused(writing.sendData(one), /^Invalid token/);
assert.equal(await admin.devices.delete(device.id), "Successfully Removed");
await refused(sender.sendData(one), /^Invalid token/);
await refused(admin.devices.info(device.id), /^Device Not Found$/);

// ---- What is refused, and in which words.
await refused(new Resources({ token: "p-nobody", region }).secrets.list(), /^Invalid token/);
await refused(admin.analysis.info(nowhere), /^Analysis can't be found$/);
await refused(admin.analysis.run(nowhere, scope), /^Analysis can't be found$/);
await refused(admin.accessManagement.info(nowhere), /^Access Management Not Found$/);
await refused(admin.secrets.info(nowhere), /^Secret Not Found$/);
await refused(admin.secrets.create({ key: "A B", value, tags }), /the key "A B" is not allowed/);
await refused(admin.secrets.create({ key: "UNTAGGED", value }), /tag/);
await refused(admin.secrets.edit(made.id, { key: "RENAMED" }), /unknown field `key`/);
const like = await admin.secrets.list({ filter: { key: "web*" } });
assert.deepEqual(like.map((row) => row.key), [SECRET]);
const script = Buffer.from("console.log(1)").toString("base64");
await refused(admin.analysis.uploadScript(id, { ...file, content: script }), /WebAssembly/);

// ---- What is deleted is gone.
assert.equal(await admin.secrets.delete(made.id), "Successfully Removed");
await refused(admin.secrets.info(made.id), /^Secret Not Found$/);
await unseen();
assert.equal(await admin.accessManagement.delete(policy), "Access Management Successfully Deleted");
assert.equal(await admin.analysis.delete(id), "Successfully Removed");
await refused(admin.analysis.info(id), /^Analysis can't be found$/);
assert.deepEqual(await admin.analysis.list(), []);

// ---- In all of it, no answer held the value, as it is or in a usual encoding.
const bytes = Buffer.from(value);
const forms = [value, encodeURIComponent(value), bytes.toString("hex")];
for (let cut = 0; cut < 3; cut += 1) {
  // Base64 of a part of a text depends on where the part begins.
  forms.push(bytes.subarray(cut).toString("base64").slice(0, -4));
}
assert.ok(answers.length > 90, `only ${answers.length} answers were seen`);
assert.ok(answers.some((answer) => answer.text.includes("UNRELATED")));
for (const answer of answers) {
  for (const form of forms) {
    assert.ok(!answer.text.includes(form), `the value stands in the answer of ${answer.url}`);
  }
}
console.log(answers.length);
