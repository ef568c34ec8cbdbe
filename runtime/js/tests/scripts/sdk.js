import assert from "node:assert/strict";
import sdk, { Analysis, Device, Resources, Services, Utils } from "@tago-io/sdk";

const tests = {
  async "resources are listed and looked at"() {
    const list = await Resources.devices.list({ amount: 5, filter: { tags: [{ key: "a", value: "b" }] } });
    assert.equal(list[0].name, "One");
    assert.equal(list[0].created_at instanceof Date, true);
    assert.equal(list[0].last_input, "never");
    assert.equal((await new Resources({ token: "t" }).devices.list()).length, 1);
    assert.equal((await sdk.Resources.devices.list()).length, 1);
  },
  async "devices send and have data"() {
    const device = new Device({ token: "d" });
    assert.equal(await device.sendData({ variable: "v", value: 1 }), "1 Data Added");
    assert.equal((await device.info()).name, "One");
    assert.throws(() => new Device({}), /a Device needs its token/);
  },
  async "the console is a service"() {
    assert.equal(await Services.console.log("hello"), "Console Sent");
    assert.equal(await new Services({ token: "x" }).console.log("hello", new Date()), "Console Sent");
  },
  async "what the API refuses is thrown as its words"() {
    const refused = await Resources.secrets.info("x").catch((error) => error);
    assert.equal(refused, "Authorization Denied");
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
    assert.deepEqual(Utils.envToJson(context.environment), { KEY: "v", GREETING: "hi there" });
  },
};
