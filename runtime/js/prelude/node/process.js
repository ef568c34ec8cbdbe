// node:process.

import { process } from "runner:process";

export const { argv, arch, env, platform, version, versions } = process;
export const nextTick = process.nextTick.bind(process);
export const exit = process.exit.bind(process);
export const cwd = process.cwd.bind(process);
export default process;
