import assert from "node:assert/strict";
import {
  Device, Services, admin, guarded, isRefused, lists, nowhere, refused, region, ungrantedToken, works,
} from "./scene.mjs";

const gone = /^Device Not Found$/;
await works("devices.list", () =>
  lists((by, query) => by.devices.list(query), "name", (name, tags) => admin.devices.create({ name, tags })));

let id;
let token;
await works("devices.create", async () => {
  const made = await admin.devices.create({
    name: "boiler", network: nowhere, connector: nowhere, type: "mutable", tags: [{ key: "color", value: "red" }],
  });
  assert.equal(made.device_id, made.bucket_id);
  [id, token] = [made.device_id, made.token];
  await refused(admin.devices.create({ network: nowhere }), /needs a name/);
  await guarded((by) => by.devices.create({ name: "x" }), "create", "device");
});
await works("devices.info", async () => {
  const shown = await admin.devices.info(id);
  assert.deepEqual([shown.name, shown.bucket.id, shown.type], ["boiler", id, "mutable"]);
  assert.ok(shown.created_at instanceof Date);
  await refused(admin.devices.info(nowhere), gone);
  await guarded((by) => by.devices.info(id), "access", "device");
});
await works("devices.edit", async () => {
  assert.equal(await admin.devices.edit(id, { description: "hot" }), "Successfully Updated");
  await refused(admin.devices.edit(id, { type: "sorted" }), /where it needs/);
  await guarded((by) => by.devices.edit(id, { description: "cold" }), "edit", "device");
});
const record = { variable: "temperature", value: 31.5 };
await works("devices.sendDeviceData", async () => {
  assert.equal(await admin.devices.sendDeviceData(id, record), "1 Data Added");
  assert.equal(await admin.devices.sendDeviceData(id, [record, { variable: "door", value: true }]), "2 Data Added");
  await refused(admin.devices.sendDeviceData(id, { value: 1 }), /missing field `variable`/);
  await guarded((by) => by.devices.sendDeviceData(id, record), "send_data", "device");
});
const last = { variables: "temperature", query: "last_value" };
await works("devices.getDeviceData", async () => {
  const [read] = await admin.devices.getDeviceData(id, last);
  assert.deepEqual([read.value, read.device], [31.5, id]);
  assert.ok(read.time instanceof Date);
  await refused(admin.devices.getDeviceData(id, { variables: "temperature", query: "sum" }), /last record is kept/);
  await guarded((by) => by.devices.getDeviceData(id, last), "get_data", "device");
});
let second;
await works("devices.tokenCreate", async () => {
  second = await admin.devices.tokenCreate(id, { name: "gateway", permission: "write", expire_time: "never" });
  assert.deepEqual([second.permission, second.expire_date], ["write", "never"]);
  await refused(admin.devices.tokenCreate(id, { name: "gateway", permission: "write" }), /has a token named "gateway"/);
  const passed = { name: "old", permission: "full", expire_time: new Date(0) };
  await refused(admin.devices.tokenCreate(id, passed), /has passed/);
  await guarded((by) => by.devices.tokenCreate(id, { name: "x", permission: "full" }), "token_access", "device");
});
await works("devices.tokenList", async () => {
  const rows = await admin.devices.tokenList(id);
  assert.deepEqual(rows.map((row) => row.name), ["gateway", "Default"]);
  assert.deepEqual((await admin.devices.tokenList(id, { amount: 1, page: 2 })).map((row) => row.name), ["Default"]);
  await refused(admin.devices.tokenList(id, { filter: { name: "x" } }), /cannot be filtered/);
  await guarded((by) => by.devices.tokenList(id), "token_access", "device");
});
await works("devices.tokenDelete", async () => {
  await guarded((by) => by.devices.tokenDelete(second.token), "token_access", "device");
  assert.equal(await admin.devices.tokenDelete(second.token), "Successfully Removed");
  await refused(new Device({ token: second.token, region }).sendData(record), /^Invalid token/);
});
const kept = /last record is kept/;
const none = /no configuration parameters/;
await isRefused("devices.paramSet", admin.devices.paramSet(id, { key: "a", value: "b", sent: false }), none);
await isRefused("devices.paramList", admin.devices.paramList(id), none);
await isRefused("devices.paramRemove", admin.devices.paramRemove(id, nowhere), none);
await isRefused("devices.editDeviceData", admin.devices.editDeviceData(id, { id: nowhere, value: 1 }), kept);
await isRefused("devices.deleteDeviceData", admin.devices.deleteDeviceData(id, { variables: "door" }), kept);
await isRefused("devices.emptyDeviceData", admin.devices.emptyDeviceData(id), kept);
await isRefused("devices.amount", admin.devices.amount(id), kept);

// ---- With the token of the device.
const device = new Device({ token, region });
const stranger = new Device({ token: "p-nobody", region });
const analysis = new Device({ token: ungrantedToken, region });
await works("Device.info", async () => {
  const shown = await device.info();
  assert.deepEqual([shown.id, shown.name], [id, "boiler"]);
  await refused(stranger.info(), /^Invalid token/);
});
await works("Device.sendData", async () => {
  const time = new Date("2026-01-01T00:00:00.000Z");
  const sent = [{ ...record, time, unit: "C", location: { lat: 1, lng: 2 } }, { variable: "x", metadata: { a: 1 } }];
  assert.equal(await device.sendData(sent), "2 Data Added");
  await refused(device.sendData({ variable: "" }), /variable/);
  await refused(stranger.sendData(record), /^Invalid token/);
  await refused(analysis.sendData(record), /^Authorization Denied.*token of a device/);
});
await works("Device.getData", async () => {
  assert.equal((await device.getData({ query: "last_item", variables: ["x"] })).length, 1);
  assert.equal((await device.getData({ query: "last_item", qty: 1 })).length, 1);
  await refused(device.getData({ query: "last_item", qty: 0 }), /qty is "0"/);
  await refused(stranger.getData(last), /^Invalid token/);
  await refused(analysis.getData(last), /^Authorization Denied.*token of a device/);
});
await isRefused("Device.editData", device.editData({ id: nowhere, value: 1 }), kept);
await isRefused("Device.deleteData", device.deleteData({ variables: "x" }), kept);
await isRefused("Device.getParameters", device.getParameters(), none);
await isRefused("Device.setParameterAsRead", device.setParameterAsRead(nowhere), none);

await works("devices.delete", async () => {
  await guarded((by) => by.devices.delete(id), "delete", "device");
  assert.equal(await admin.devices.delete(id), "Successfully Removed");
  await refused(admin.devices.delete(id), gone);
  await refused(device.info(), /^Invalid token/);
});

// ---- Services, from outside of a run.
const services = new Services({ token: ungrantedToken, region });
await refused(new Services({ token: "p-nobody", region }).console.log("x"), /^Invalid token/);
const outside = /^Authorization Denied: a console belongs to a run/;
await isRefused("Services.console.log from outside", services.console.log("no date"), outside);
await refused(services.console.log("a date", new Date()), outside);
