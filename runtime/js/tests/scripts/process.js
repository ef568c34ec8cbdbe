import assert from "node:assert/strict";
import process, { env as named } from "node:process";

// By names that the build does not see.
const needs = (name) => require(name);
const imports = (name) => import(name);
const { env } = process; // a reference alone touches nothing

const tests = {
  "the environment is there by name"(context) {
    assert.equal(env.KEY, "v");
    assert.equal(named, env);
    assert.equal(process.env.GREETING, "hi there");
    assert.equal("KEY" in env, true);
    assert.equal(env.NONE, undefined);
    assert.equal(env.hasOwnProperty("KEY"), true);
    assert.equal(Object.keys(env).includes("GREETING"), true);
    assert.equal({ ...env }.KEY, "v");
    env.SET = 5;
    assert.equal(env.SET, "5");
    delete env.SET;
    assert.equal(env.SET, undefined);
    assert.equal(context.environment.KEY, "v");
    const own = context.environment.filter(({ key }) => !key.startsWith("_"));
    assert.deepEqual(own, [{ key: "GREETING", value: "hi there" }, { key: "KEY", value: "v" }]);
    assert.match(JSON.stringify(context.environment), /^\[\{"key":"GREETING","value":"hi there"\},\{"key":"KEY","value":"v"\}.*\]$/);
    assert.equal(context.environment.find(({ key }) => key === "GREETING").value, "hi there");
    assert.equal(Object.keys(context.environment).length, context.environment.length);
  },
  "and as the original gives it to its scripts"(context, scope) {
    assert.equal(env.T_ANALYSIS_CONTEXT, "tago-io");
    assert.deepEqual(JSON.parse(env.T_ANALYSIS_ENV), [...context.environment]);
    assert.equal("T_ANALYSIS_ENV" in env && !Object.keys(env).includes("T_ANALYSIS_ENV"), true);
    assert.deepEqual(JSON.parse(env.T_ANALYSIS_DATA), scope);
    assert.equal(env.T_ANALYSIS_TOKEN, context.token);
    assert.equal(env.T_ANALYSIS_ID, context.analysis_id);
    assert.equal(env.TAGOIO_API, "http://runner.internal");
    assert.deepEqual(scope, [{ a: 1 }]);
    assert.match(context.run_id, /^[0-9a-f]{24}$/);
  },
  "the process is what packages look for"() {
    assert.equal(typeof process.versions.node, "string");
    assert.deepEqual(process.argv.length, 2);
    assert.equal(process.cwd(), "/");
    assert.ok(process.memoryUsage().heapUsed > 10000);
    const [seconds, nanoseconds] = process.hrtime();
    assert.ok(seconds >= 0 && nanoseconds >= 0);
    assert.equal(typeof process.hrtime.bigint(), "bigint");
    assert.equal(globalThis.global, globalThis);
    assert.equal(globalThis.process, process);
  },
  "modules of Node are required by either name"() {
    assert.equal(require("path").join("a", "b"), "a/b");
    assert.equal(require("node:events"), require("events"));
    assert.equal(typeof require("runner").Analysis.use, "function");
    assert.equal(require("@tago-io/sdk").Analysis, require("runner").Analysis);
    assert.throws(() => needs("node:fs"), /there is no module node:fs in a sandbox: an analysis has no files; take data/);
    assert.throws(() => needs("child_process"), /start another analysis with Resources.analysis.run/);
    assert.throws(() => needs("left-pad"), /there is no module "left-pad" here: packages/);
    assert.throws(() => needs("runner:host"), /there is no module "runner:host" here/);
  },
  async "and imported while the script runs"() {
    assert.equal((await import("node:util")).format("%d", 1), "1");
    await assert.rejects(imports("node:net"), /there are no sockets; use fetch/);
    await assert.rejects(imports("runner:fetch"), /there is no module "runner:fetch" here/);
    await assert.rejects(imports("./other.js"), /there is no module "\.\/other\.js" here/);
  },
  "locale functions fall back"() {
    assert.equal(typeof Intl, "undefined");
    assert.equal(typeof (1234.5).toLocaleString("de-DE"), "string");
    assert.match("aÄ", /^\p{L}+$/u);
    assert.equal("straße".normalize("NFC").toUpperCase(), "STRASSE");
    assert.equal("2026-01-02".replace(/(?<=-)0/g, ""), "2026-1-2");
  },
};
