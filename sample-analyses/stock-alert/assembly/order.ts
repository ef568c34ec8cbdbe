// Which items run low, and what to order.

import { Json, Kind } from "./json";

/** The last count of each item in the scope. */
export class Stock {
  counts: Map<string, f64> = new Map();
  units: Map<string, string> = new Map();

  /** Takes a device record: its variable is the item, its value the count. False: not usable. */
  add(record: Json): bool {
    const item = record.textOf("variable");
    const value = record.get("value");
    if (item == "" || !value || value.kind != Kind.Number || value.number < 0) return false;
    this.counts.set(item, value.number);
    this.units.set(item, record.textOf("unit"));
    return true;
  }
}

/** What to order to bring every item that is below `minimum` to `target`. */
export class Order {
  /** What to tell about each item. */
  lines: string[] = [];
  /** How many items are ordered. */
  items: i32 = 0;
  /** What the order costs. */
  total: f64 = 0;

  constructor(stock: Stock, prices: Json, minimum: f64, target: f64) {
    const items = stock.counts.keys();
    for (let i = 0; i < items.length; i++) {
      const item = items[i];
      const count = stock.counts.get(item);
      const unit = stock.units.get(item);
      const left = item + ": " + amount(count) + (unit == "" ? "" : " " + unit) + " left";
      if (count >= minimum) {
        this.lines.push(left + ", enough");
        continue;
      }
      const price = prices.get(item);
      if (!price || price.kind != Kind.Number) {
        this.lines.push(left + ", low, but it has no price");
        continue;
      }
      const ordered = Math.ceil(target - count);
      this.lines.push(left + ", low: order " + amount(ordered));
      this.items++;
      this.total += ordered * price.number;
    }
  }
}

/** A number without the ".0" that AssemblyScript puts behind a whole one. */
export function amount(value: f64): string {
  const text = value.toString();
  return text.endsWith(".0") ? text.substring(0, text.length - 2) : text;
}
