// Lists what to order when stock runs low, and whether the order fits the budget.
//
// Purchase prices come from a secret: whoever reads the console learns what to order and whether
// the budget allows it, but no price.

import { Json, Kind, parse } from "./json";
import { Order, Stock, amount } from "./order";

main();

function main(): void {
  const minimum = numberSetting("STOCK_MINIMUM");
  const target = numberSetting("STOCK_TARGET");
  const budget = numberSetting("ORDER_BUDGET");
  if (target < minimum) return fail("STOCK_TARGET is below STOCK_MINIMUM");
  const prices = parse(setting("PRICE_LIST"));
  if (!prices || prices.kind != Kind.Object) {
    return fail("PRICE_LIST is not a JSON object of items with their prices");
  }
  const order = new Order(readStock(), prices, minimum, target);
  for (let i = 0; i < order.lines.length; i++) print(order.lines[i]);
  if (order.items == 0) return print("no order");
  const items = order.items.toString() + (order.items == 1 ? " item" : " items");
  const fits = order.total <= budget;
  print(
    "order of " + items + (fits ? " is within" : " needs approval: it is above") +
      " the budget of " + amount(budget),
  );
}

/** The device records of the scope; what is not one is told and left out. */
function readStock(): Stock {
  const stock = new Stock();
  const scope = parse(setting("T_ANALYSIS_DATA"));
  if (!scope || scope.kind != Kind.List) {
    fail("the scope is not a list of device records");
    return stock;
  }
  for (let i = 0; i < scope.items.length; i++) {
    if (!stock.add(scope.items[i])) {
      warn("record " + (i + 1).toString() + " skipped: it has no variable with a count of 0 or more");
    }
  }
  if (stock.counts.size == 0) fail("no usable record in the scope");
  return stock;
}

function setting(key: string): string {
  if (!process.env.has(key)) {
    fail(key + " is not in the environment: set a variable, or a policy that grants the secret");
  }
  return process.env.get(key);
}

function numberSetting(key: string): f64 {
  const value = parse(setting(key));
  if (!value || value.kind != Kind.Number || value.number < 0) {
    fail(key + " is not a number of 0 or more");
    return 0;
  }
  return value.number;
}

// One write a line: the console would take several for several messages.

function print(line: string): void {
  process.stdout.write(line + "\n");
}

function warn(line: string): void {
  process.stderr.write(line + "\n");
}

function fail(line: string): void {
  warn(line);
  process.exit(1);
}
