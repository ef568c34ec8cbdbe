// Resources and Device: what the API has.

import { Client, closed, dated } from "runner:api";
import { setTimeout } from "runner:timers";

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

/** The query of a list. */
function listing(asked, fields, order) {
  const { page = 1, amount = 20, filter = {}, orderBy, ...rest } = asked ?? {};
  return { page, fields: asked?.fields ?? fields, filter, amount, orderBy: orderBy ? `${orderBy[0]},${orderBy[1]}` : order, ...rest };
}

/** A kind of thing that is listed, looked at, made, changed and deleted. */
class Collection extends Client {
  #path;
  #fields;
  #order;
  #dates;
  constructor(params, path, fields, order, dates) {
    super(params);
    this.#path = path;
    this.#fields = fields;
    this.#order = order;
    this.#dates = dates;
  }
  async list(query) {
    const list = await this._call("GET", this.#path, { query: listing(query, this.#fields, this.#order) });
    return list.map((item) => dated(item, this.#dates));
  }
  async info(id) {
    return dated(await this._call("GET", `${this.#path}/${id}`), this.#dates);
  }
  async create(object) {
    return this._call("POST", this.#path, { body: object });
  }
  async edit(id, object) {
    return this._call("PUT", `${this.#path}/${id}`, { body: object });
  }
  async delete(id) {
    return this._call("DELETE", `${this.#path}/${id}`);
  }
}

class Devices extends Collection {
  constructor(params) {
    super(params, "/device", ["id", "name", "tags"], "name,asc", ["last_input", "updated_at", "created_at"]);
  }
  async *listStreaming(query, options) {
    const amount = options?.poolingRecordQty ?? 1000;
    for (let page = 1; ; page++) {
      const list = await this.list({ ...query, amount, page });
      yield list;
      if (list.length < amount) return;
      await sleep(options?.poolingTime ?? 500);
    }
  }
  async paramList(id, sent) {
    return this._call("GET", `/device/${id}/params`, { query: { sent_status: sent } });
  }
  async paramSet(id, params, paramId) {
    const body = paramId !== undefined && !Array.isArray(params) ? { id: paramId, ...params } : params;
    return this._call("POST", `/device/${id}/params`, { body });
  }
  async paramRemove(id, paramId) {
    return this._call("DELETE", `/device/${id}/params/${paramId}`);
  }
  async tokenList(id, query) {
    const asked = listing(query, ["name", "token", "permission"], "created_at,desc");
    const list = await this._call("GET", `/device/token/${id}`, { query: asked });
    return list.map((token) => dated(token, ["created_at", "last_authorization", "expire_time"]));
  }
  async tokenCreate(id, params) {
    return dated(await this._call("POST", "/device/token", { body: { device: id, ...params } }), ["expire_date"]);
  }
  async tokenDelete(token) {
    return this._call("DELETE", `/device/token/${token}`);
  }
  async amount(id) {
    return this._call("GET", `/device/${id}/data_amount`);
  }
  async getDeviceData(id, query) {
    return records(await this._call("GET", `/device/${id}/data`, { query: plain(query) }));
  }
  async sendDeviceData(id, data) {
    return this._call("POST", `/device/${id}/data`, { body: data });
  }
  async editDeviceData(id, data) {
    return this._call("PUT", `/device/${id}/data`, { body: data });
  }
  async deleteDeviceData(id, query) {
    return this._call("DELETE", `/device/${id}/data`, { query: plain(query) });
  }
  async emptyDeviceData(id) {
    return this._call("POST", `/device/${id}/empty`);
  }
}

/** The query of records: "default" is what is asked without a query. */
function plain(query) {
  if (query?.query !== "default") return query;
  const { query: _, ...rest } = query;
  return rest;
}

function records(result) {
  if (typeof result === "number") return [{ time: new Date(), value: result }];
  return result.map((record) => dated(record, ["time", "created_at"]));
}

class Analyses extends Collection {
  constructor(params) {
    super(params, "/analysis", ["id", "name"], "name,asc", ["created_at", "updated_at", "last_run"]);
  }
  async run(id, scope) {
    return this._call("POST", `/analysis/${id}/run`, { body: { scope } });
  }
  async tokenGenerate(id) {
    return this._call("GET", `/analysis/${id}/token`);
  }
  async uploadScript(id, { content, name, language }) {
    return this._call("POST", `/analysis/${id}/upload`, { body: { file: content, file_name: name, language } });
  }
  async downloadScript(id, options) {
    const query = options?.version === undefined ? undefined : { version: options.version };
    return dated(await this._call("GET", `/analysis/${id}/download`, { query }), ["expire_at"]);
  }
}

class Tags extends Client {
  async getTagKeys(type) {
    return this._call("GET", `/tags/keys/${type}`);
  }
}

class Profiles extends Client {
  async info(id = "current") {
    return this._call("GET", `/profile/${id}`);
  }
  async tokenCreate(id, params) {
    return this._call("POST", `/profile/${id}/token`, { body: params });
  }
}

const dates = ["created_at", "updated_at"];
const kinds = {
  accessManagement: (params) => new Collection(params, "/am", ["id", "name", "tags"], "name,asc", dates),
  actions: (params) => new Collection(params, "/action", ["id", "name"], "name,asc", [...dates, "last_triggered"]),
  analysis: (params) => new Analyses(params),
  devices: (params) => new Devices(params),
  profiles: (params) => new Profiles(params),
  secrets: (params) => new Collection(params, "/secrets", ["id", "key"], "key,asc", dates),
  tags: (params) => new Tags(params),
};

class ResourcesClass {
  constructor(params = {}) {
    const made = {};
    for (const name of Object.keys(kinds)) made[name] = closed(kinds[name](params), `Resources.${name}`);
    return closed(made, "Resources");
  }
}
for (const name of Object.keys(kinds)) {
  Object.defineProperty(ResourcesClass, name, { get: () => closed(kinds[name]({}), `Resources.${name}`), enumerable: true });
}
Object.defineProperty(ResourcesClass, "name", { value: "Resources" });
export const Resources = closed(ResourcesClass, "Resources");

class DeviceClass extends Client {
  constructor(params) {
    super(params);
    if (!params?.token) throw new TypeError("a Device needs its token: new Device({ token })");
    return closed(this, "device");
  }
  async info() {
    return dated(await this._call("GET", "/info"), ["created_at", "updated_at", "last_input", "last_output"]);
  }
  async sendData(data) {
    return this._call("POST", "/data", { body: Array.isArray(data) ? data : [data] });
  }
  async getData(query) {
    return records(await this._call("GET", "/data", { query: plain(query) }));
  }
  async editData(data) {
    return this._call("PUT", "/data", { body: Array.isArray(data) ? data : [data] });
  }
  async deleteData(query = { query: "last_item" }) {
    return this._call("DELETE", "/data", { query: plain(query) });
  }
}
Object.defineProperty(DeviceClass, "name", { value: "Device" });
export const Device = DeviceClass;
