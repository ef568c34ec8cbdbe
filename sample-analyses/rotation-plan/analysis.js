// Tells which secrets are due for a new value, from their tags and dates. It asks the API for them,
// which shows no values, and needs no value itself.

import { Analysis, Resources } from "@tago-io/sdk";

const DAY = 24 * 60 * 60 * 1000;

Analysis.use(async (context) => {
  const secrets = await new Resources({ token: context.token }).secrets.list({
    page: 1,
    amount: 100,
    fields: ["id", "key", "tags", "updated_at"],
  });
  const due = [];
  for (const { key, tags, updated_at: updated } of secrets) {
    const days = Number(tags.find((tag) => tag.key === "rotate_days")?.value);
    if (Number.isNaN(days)) {
      context.log(`${key} has no tag rotate_days with a number`);
      continue;
    }
    const age = Math.floor((Date.now() - new Date(updated).getTime()) / DAY);
    context.log(`${key}: ${age} of ${days} days old`);
    if (age >= days) due.push(key);
  }
  if (due.length > 0) context.log(`due: ${due.join(", ")}`);
  return { secrets: secrets.length, due };
});
