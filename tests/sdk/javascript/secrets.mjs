import assert from "node:assert/strict";
import { admin, guarded, lists, nowhere, refused, works } from "./scene.mjs";

const tags = [{ key: "env", value: "prod" }];
const value = "a value that nobody reads";

await works("secrets.list", () =>
  lists((by, query) => by.secrets.list(query), "key", (key, tags) => admin.secrets.create({ key, value, tags })));

let id;
await works("secrets.create", async () => {
  const made = await admin.secrets.create({ key: "METHODS", value, tags });
  assert.match(made.id, /^[0-9a-f]{24}$/);
  id = made.id;
  await refused(admin.secrets.create({ key: "METHODS", value, tags }), /METHODS exists/);
  await refused(admin.secrets.create({ key: "A B", value, tags }), /"A B" is not allowed/);
  await refused(admin.secrets.create({ key: "NO_VALUE", tags }), /missing field `value`/);
  await refused(admin.secrets.create({ key: "LONG", value, tags: [{ key: "", value: "" }] }), /tag/);
  await guarded((by) => by.secrets.create({ key: "OTHER", value, tags }), "create", "secrets");
});
await works("secrets.info", async () => {
  const shown = await admin.secrets.info(id);
  assert.deepEqual([shown.key, shown.tags, shown.value_length], ["METHODS", tags, value.length]);
  assert.equal(shown.value, undefined);
  assert.ok(shown.created_at instanceof Date && shown.updated_at instanceof Date);
  await refused(admin.secrets.info(nowhere), /^Secret Not Found$/);
  await refused(admin.secrets.info("x"), /there is no secret x/);
  await guarded((by) => by.secrets.info(id), "access", "secrets");
});
await works("secrets.edit", async () => {
  assert.equal(await admin.secrets.edit(id, { value: "longer than before, much longer" }), "Successfully Updated");
  assert.equal((await admin.secrets.info(id)).value_length, 31);
  await refused(admin.secrets.edit(id, { key: "RENAMED" }), /unknown field `key`/);
  await refused(admin.secrets.edit(id, { value: 7 }), /where it needs a string/);
  await refused(admin.secrets.edit(nowhere, { value }), /^Secret Not Found$/);
  await guarded((by) => by.secrets.edit(id, { value }), "edit", "secrets");
});
await works("secrets.delete", async () => {
  await guarded((by) => by.secrets.delete(id), "delete", "secrets");
  assert.equal(await admin.secrets.delete(id), "Successfully Removed");
  await refused(admin.secrets.delete(id), /^Secret Not Found$/);
});
