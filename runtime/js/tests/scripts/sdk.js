import assert from "node:assert/strict";
import sdk, { Analysis, Device, Resources, Services, Utils } from "@tago-io/sdk";

const tests = {
  async "resources are listed and looked at"(context) {
    const list = await Resources.devices.list({ amount: 5, filter: { name: "One" } });
    assert.equal(list[0].name, "One");
    assert.equal((await Resources.devices.info(list[0].id)).created_at instanceof Date, true);
    assert.deepEqual(await Resources.devices.list({ filter: { name: "none" } }), []);
    assert.equal((await new Resources({ token: context.token }).devices.list()).length, 1);
    assert.equal((await sdk.Resources.devices.list()).length, 1);
  },
  async "devices send and have data"() {
    const device = new Device({ token: process.env.DEVICE });
    assert.match(await device.sendData({ variable: "v", value: 1 }), /^1 Data Added$/i);
    assert.equal((await device.getData({ variables: "v", query: "last_value" }))[0].value, 1);
    assert.equal((await device.info()).name, "One");
    assert.throws(() => new Device({}), /a Device needs its token/);
  },
  async "the console is a service"(context) {
    assert.equal(typeof (await Services.console.log("hello")), "string");
    assert.equal(typeof (await new Services({ token: context.token }).console.log("hello", new Date())), "string");
  },
  async "what the API refuses is thrown as its words"() {
    const refused = await Resources.secrets.create({ key: "MINE", value: "x" }).catch((error) => error);
    assert.match(refused, /Authorization Denied/);
  },
  "what is not there is said so, with what is"() {
    assert.throws(() => Resources.dashboards, /Resources\.dashboards is not here; there are .*devices/);
    assert.throws(() => Resources.devices.explode(), /Resources\.devices\.explode is not here; there are .*list/);
    assert.throws(() => Services.email, /Services\.email is not here; there are console/);
    assert.throws(() => Utils.uploadFile, /Utils\.uploadFile is not here/);
    assert.throws(() => sdk.Account, /Account is not here/);
    assert.throws(() => Analysis.use(() => {}), /Analysis\.use was called before/);
  },
  "the environment becomes an object"(context) {
    assert.equal(Utils.envToJson(context.environment).GREETING, "hi there");
  },
};
