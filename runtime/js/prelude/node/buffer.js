// node:buffer.

import { Blob, File } from "runner:blob";
import { Buffer } from "runner:buffer";

const { atob, btoa } = globalThis;
export const constants = { MAX_LENGTH: 2 ** 31 - 1, MAX_STRING_LENGTH: 2 ** 29 - 24 };
export const kMaxLength = constants.MAX_LENGTH;

export { Blob, Buffer, File, atob, btoa };
export default { Blob, Buffer, File, atob, btoa, constants, kMaxLength };
