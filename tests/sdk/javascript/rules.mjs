import assert from "node:assert/strict";
import { admin, guarded, isRefused, lists, nowhere, refused, stranger, works } from "./scene.mjs";

const { id: analysis } = await admin.analysis.create({ name: "ruled" });

// ---- Actions.
const action = (name, tags) => ({
  name,
  tags,
  type: "interval",
  trigger: [{ interval: "1 day" }],
  action: { type: "script", script: [analysis] },
});
await works("actions.list", () =>
  lists((by, query) => by.actions.list(query), "name", (name, tags) => admin.actions.create(action(name, tags))));
let id;
await works("actions.create", async () => {
  const made = await admin.actions.create(action("methods", []));
  assert.match(made.action, /^[0-9a-f]{24}$/);
  id = made.action;
  const never = { ...action("never", []), trigger: [{ interval: "0 minutes" }] };
  await refused(admin.actions.create(never), /interval/);
  const email = { ...action("mail", []), action: { type: "email", to: "a@b.c", subject: "s", message: "m" } };
  await refused(admin.actions.create(email), /email/);
  await guarded((by) => by.actions.create(action("x")), "create", "action");
});
await works("actions.info", async () => {
  const shown = await admin.actions.info(id);
  assert.deepEqual([shown.type, shown.active, shown.lock], ["interval", true, false]);
  assert.deepEqual(shown.action, { type: "script", script: [analysis] });
  assert.ok(shown.created_at instanceof Date);
  await refused(admin.actions.info(nowhere), /^Action Not Found$/);
  await guarded((by) => by.actions.info(id), "access", "action");
});
await works("actions.edit", async () => {
  assert.match(await admin.actions.edit(id, { active: false }), /^Action Successfully Updated/);
  assert.equal((await admin.actions.info(id)).active, false);
  await refused(admin.actions.edit(id, { type: "schedule" }), /trigger/);
  await guarded((by) => by.actions.edit(id, { active: true }), "edit", "action");
});
await works("actions.delete", async () => {
  await guarded((by) => by.actions.delete(id), "delete", "action");
  assert.equal(await admin.actions.delete(id), "Action Successfully Deleted");
  await refused(admin.actions.delete(id), /^Action Not Found$/);
});

// ---- Policies.
const gone = /^Access Management Not Found$/;
const allow = { effect: "allow", action: ["access"], resource: ["secrets", "tag.key", "env", "tag.value", "prod"] };
const policy = (name, tags) => ({ name, tags, targets: [["analysis", "id", analysis]], permissions: [allow] });
await works("accessManagement.list", async () => {
  const list = (by, query) => by.accessManagement.list(query);
  await lists(list, "name", (name, tags) => admin.accessManagement.create(policy(name, tags)));
  const [row] = await list(admin, { fields: ["id", "permissions", "targets"] });
  assert.ok(!row.permissions && !row.targets && row.profile, JSON.stringify(row));
});
await works("accessManagement.create", async () => {
  const made = await admin.accessManagement.create(policy("methods", []));
  assert.match(made.am_id, /^[0-9a-f]{24}$/);
  id = made.am_id;
  const wrong = { ...policy("x", []), permissions: [{ ...allow, effect: "denied" }] };
  await refused(admin.accessManagement.create(wrong), /permissions\[0\]\.effect/);
  await guarded((by) => by.accessManagement.create(policy("x", [])), "create", "access_management");
});
await works("accessManagement.info", async () => {
  const shown = await admin.accessManagement.info(id);
  assert.deepEqual([shown.permissions, shown.active], [[allow], true]);
  assert.deepEqual(shown.targets, [["analysis", "id", analysis]]);
  await refused(admin.accessManagement.info(nowhere), gone);
  await guarded((by) => by.accessManagement.info(id), "access", "access_management");
});
await works("accessManagement.edit", async () => {
  const edited = await admin.accessManagement.edit(id, { active: false });
  assert.equal(edited, "Access Management Successfully Updated");
  await refused(admin.accessManagement.edit(id, { targets: [["device"]] }), /targets\[0\]/);
  await guarded((by) => by.accessManagement.edit(id, { active: true }), "edit", "access_management");
});
await works("accessManagement.delete", async () => {
  await guarded((by) => by.accessManagement.delete(id), "delete", "access_management");
  assert.equal(await admin.accessManagement.delete(id), "Access Management Successfully Deleted");
  await refused(admin.accessManagement.delete(id), gone);
});

// ---- Tags: of what was made above, for each type.
await works("tags.getTagKeys", async () => {
  for (const type of ["secrets", "analysis", "action", "device"]) {
    assert.deepEqual(await admin.tags.getTagKeys(type), ["color", "listed"], type);
  }
  await refused(admin.tags.getTagKeys("nothing"), /no tags of the type "nothing"/);
  await refused(stranger.tags.getTagKeys("secrets"), /^Invalid token/);
});
await isRefused("tags.getTagKeys of a dashboard", admin.tags.getTagKeys("dashboard"), /there are secrets, analysis/);
