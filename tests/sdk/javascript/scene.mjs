// What the proofs of single methods stand on: three callers, and a line of JSON for each method.
//
//   RUNNER_URL, RUNNER_TOKEN   the server and an administrator's token
//   RUNNER_SDK                 the name under which the SDK is installed

import assert from "node:assert/strict";

export const { RUNNER_URL: url, RUNNER_TOKEN: token } = process.env;

const library = await import(process.env.RUNNER_SDK);
// Node finds no names in the older package, which is CommonJS, only its default.
export const { Device, Resources, Services } = library.Resources ? library : library.default;

export const region = { api: url, sse: `${url}/events` };
export const nowhere = "0123456789abcdef01234567";

export const admin = new Resources({ token, region });
export const stranger = new Resources({ token: "p-nobody", region });
const alone = await admin.analysis.create({ name: "without a policy" });
/** The token of an analysis that no policy allows anything. */
export const ungrantedToken = alone.token;
export const ungranted = new Resources({ token: ungrantedToken, region });

/** The SDK throws the message of a refusal as a string; answers it. */
export async function refused(promise, message) {
  let thrown;
  try {
    await promise;
  } catch (error) {
    thrown = error;
  }
  assert.equal(typeof thrown, "string", `not a message: ${JSON.stringify(thrown)}`);
  assert.match(thrown, message);
  return thrown;
}

/** Proves that a method does its work. */
export async function works(method, proof) {
  try {
    await proof();
  } catch (error) {
    throw new Error(`${method}: ${error.stack ?? JSON.stringify(error)}`);
  }
  console.log(JSON.stringify({ method, verdict: "works" }));
}

/** Proves that a method is refused, and says what there is instead. */
export async function isRefused(method, promise, message) {
  const says = await refused(promise, message);
  console.log(JSON.stringify({ method, verdict: "refused", says }));
}

/** Refused with a wrong token, and to an analysis without this action on this type. */
export async function guarded(call, action, type) {
  await refused(call(stranger), /^Invalid token/);
  await refused(call(ungranted), new RegExp(`^Authorization Denied.*\`${action}\`.*\`${type}\``));
}

/** Pages, orders, fields and filters of a list whose rows have this name and can be made so. */
export async function lists(list, name, make) {
  const marked = (color) => [{ key: "listed", value: "yes" }, { key: "color", value: color }];
  await make("Pump_one", marked("red"));
  await make("pump_two", marked("blue"));
  await make("Valve", marked("red"));
  const mine = { tags: [{ key: "listed" }] };
  const names = async (query) => {
    const rows = await list(admin, { fields: ["id", name], filter: mine, ...query });
    return rows.map((row) => row[name]);
  };
  const all = ["Pump_one", "Valve", "pump_two"];
  assert.deepEqual(await names({}), all);
  assert.deepEqual(await names({ orderBy: [name, "desc"] }), all.toReversed());
  const made = ["Pump_one", "pump_two", "Valve"];
  assert.deepEqual(await names({ orderBy: ["created_at", "asc"] }), made);
  assert.deepEqual(await names({ orderBy: ["created_at", "desc"] }), made.toReversed());
  assert.deepEqual(await names({ page: 1, amount: 2 }), all.slice(0, 2));
  assert.deepEqual(await names({ page: 2, amount: 2 }), all.slice(2));
  assert.deepEqual(await names({ page: 3, amount: 2 }), []);
  const red = { tags: [{ key: "listed" }, { key: "color", value: "red" }] };
  assert.deepEqual(await names({ filter: red }), ["Pump_one", "Valve"]);
  assert.deepEqual(await names({ filter: { ...red, [name]: "valve*" } }), ["Valve"]);
  assert.deepEqual(await names({ filter: { ...mine, [name]: "*PUMP*" } }), ["Pump_one", "pump_two"]);
  assert.deepEqual(await names({ filter: { ...mine, [name]: "Valve" } }), ["Valve"]);
  assert.deepEqual(await names({ filter: { ...mine, [name]: "*UMP_" } }), []);

  const [row] = await list(admin, { fields: ["id", name, "created_at"], filter: mine });
  assert.deepEqual(Object.keys(row).filter((key) => key !== "profile").sort(), ["created_at", "id", name, "tags"].sort());
  assert.equal(row.tags.length, 2);
  const [usual] = await list(admin, undefined);
  assert.ok(usual.id && usual[name] && usual.tags, JSON.stringify(usual));

  await refused(list(admin, { orderBy: ["nothing", "asc"] }), /cannot be ordered by nothing,asc/);
  await refused(list(admin, { filter: { nothing: "x" } }), /no filter "nothing"/);
  await refused(list(admin, { amount: 10_001 }), /amount is "10001"/);
  await refused(list(stranger, {}), /^Invalid token/);
  assert.deepEqual(await list(ungranted, {}), []);
}
