// Our SDK: the modules "runner" and "@tago-io/sdk", in the shape of the original's.

import { Client, closed } from "runner:api";
import { use } from "runner:context";
import { Device, Resources } from "runner:resources";

export { Device, Resources };

class AnalysisClass {
  constructor(analysis, params) {
    if (params?.autostart !== false) use(analysis);
    this.start = () => use(analysis);
  }
  static use(analysis) {
    return new AnalysisClass(analysis);
  }
}
Object.defineProperty(AnalysisClass, "name", { value: "Analysis" });
export const Analysis = closed(AnalysisClass, "Analysis");

class Console extends Client {
  async log(message, time) {
    const timestamp = time === undefined ? null : new Date(time).getTime();
    return this._call("POST", "/analysis/services/console/send", { body: { message, timestamp } });
  }
}

class ServicesClass {
  constructor(params = {}) {
    return closed({ console: closed(new Console(params), "Services.console") }, "Services");
  }
  static get console() {
    return closed(new Console({}), "Services.console");
  }
}
Object.defineProperty(ServicesClass, "name", { value: "Services" });
export const Services = closed(ServicesClass, "Services");

/** The environment as an object. */
function envToJson(environment) {
  const object = {};
  for (const { key, value } of environment) Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  return object;
}

async function getTokenByName(account, deviceId, names) {
  const tokens = await account.devices.tokenList(deviceId);
  const wanted = names === undefined ? [] : [names].flat();
  const found = wanted.length === 0 ? tokens[0] : tokens.find((token) => wanted.some((name) => token.name.includes(name)));
  return found?.token;
}

async function getDevice(account, deviceId) {
  const token = await getTokenByName(account, deviceId);
  if (token === undefined) throw new Error(`the device ${deviceId} has no token`);
  return new Device({ token });
}

export const Utils = closed({ envToJson, getDevice, getTokenByName }, "Utils");

export default closed({ Analysis, Device, Resources, Services, Utils }, "the SDK");
