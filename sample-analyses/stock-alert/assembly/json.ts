// JSON text as RFC 8259 defines it, read into a tree.

/** What a value is. */
export enum Kind {
  Null,
  Bool,
  Number,
  Text,
  List,
  Object,
}

// Shared by all values without any, so that a value of another kind stays small.
const NO_ITEMS: Json[] = [];
const NO_FIELDS = new Map<string, Json>();

/** One value. Only the member of its kind means something. */
export class Json {
  flag: bool = false;
  number: f64 = 0;
  text: string = "";
  items: Json[] = NO_ITEMS;
  fields: Map<string, Json> = NO_FIELDS;

  constructor(public kind: Kind) {}

  /** The field of an object, or null where there is none. */
  get(name: string): Json | null {
    return this.fields.has(name) ? this.fields.get(name) : null;
  }

  /** The text of a field, or "" where there is none. */
  textOf(name: string): string {
    const field = this.get(name);
    return field && field.kind == Kind.Text ? field.text : "";
  }
}

/** The value in `text`, or null where it is not JSON. */
export function parse(text: string): Json | null {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.space();
  return reader.failed || !reader.ended() ? null : value;
}

/** Deeper nesting is refused: it would end the stack. */
const MAX_DEPTH = 64;

/** Goes through the text once. After a failure, `failed` is set and what it returns means nothing. */
class Reader {
  failed: bool = false;
  private at: i32 = 0;

  constructor(private text: string) {}

  ended(): bool {
    return this.at == this.text.length;
  }

  space(): void {
    while (!this.ended()) {
      const code = this.peek();
      if (code != 0x20 && code != 0x0a && code != 0x0d && code != 0x09) return;
      this.at++;
    }
  }

  value(depth: i32): Json {
    this.space();
    if (depth > MAX_DEPTH) return this.fail();
    switch (this.peek()) {
      case 0x7b: // {
        return this.object(depth);
      case 0x5b: // [
        return this.list(depth);
      case 0x22: { // "
        const value = new Json(Kind.Text);
        value.text = this.string();
        return value;
      }
      case 0x6e: // n
        return this.word("null", new Json(Kind.Null));
      case 0x66: // f
        return this.word("false", new Json(Kind.Bool));
      case 0x74: { // t
        const value = new Json(Kind.Bool);
        value.flag = true;
        return this.word("true", value);
      }
      default:
        return this.number();
    }
  }

  private object(depth: i32): Json {
    const value = new Json(Kind.Object);
    value.fields = new Map();
    this.at++;
    if (this.next(0x7d)) return value; // }
    do {
      this.space();
      const name = this.string();
      if (!this.next(0x3a)) return this.fail(); // :
      value.fields.set(name, this.value(depth + 1));
    } while (!this.failed && this.next(0x2c)); // ,
    return this.next(0x7d) ? value : this.fail();
  }

  private list(depth: i32): Json {
    const value = new Json(Kind.List);
    value.items = [];
    this.at++;
    if (this.next(0x5d)) return value; // ]
    do {
      value.items.push(this.value(depth + 1));
    } while (!this.failed && this.next(0x2c)); // ,
    return this.next(0x5d) ? value : this.fail();
  }

  private string(): string {
    if (!this.take(0x22)) return this.fail().text;
    let whole = "";
    let start = this.at;
    while (!this.ended()) {
      const code = this.text.charCodeAt(this.at++);
      if (code == 0x22) return whole + this.text.substring(start, this.at - 1);
      if (code < 0x20) break;
      if (code == 0x5c) { // \
        whole += this.text.substring(start, this.at - 1) + this.escape();
        start = this.at;
      }
    }
    return this.fail().text;
  }

  private escape(): string {
    const code = this.peek();
    this.at++;
    switch (code) {
      case 0x22: // "
      case 0x5c: // \
      case 0x2f: // /
        return String.fromCharCode(code);
      case 0x62: // b
        return "\b";
      case 0x66: // f
        return "\f";
      case 0x6e: // n
        return "\n";
      case 0x72: // r
        return "\r";
      case 0x74: // t
        return "\t";
      case 0x75: { // u: a pair of surrogates comes as two escapes
        let unit = 0;
        for (let i = 0; i < 4; i++) {
          const digit = hexDigit(this.peek());
          if (digit < 0) return this.fail().text;
          unit = unit * 16 + digit;
          this.at++;
        }
        return String.fromCharCode(unit);
      }
      default:
        return this.fail().text;
    }
  }

  private number(): Json {
    const start = this.at;
    this.take(0x2d); // -
    if (!this.take(0x30) && !this.digits()) return this.fail();
    if (this.take(0x2e) && !this.digits()) return this.fail(); // .
    if (this.take(0x65) || this.take(0x45)) { // e E
      if (!this.take(0x2b)) this.take(0x2d); // + -
      if (!this.digits()) return this.fail();
    }
    const value = new Json(Kind.Number);
    value.number = parseFloat(this.text.substring(start, this.at));
    return value;
  }

  private digits(): bool {
    const start = this.at;
    while (this.peek() >= 0x30 && this.peek() <= 0x39) this.at++;
    return this.at > start;
  }

  private word(word: string, value: Json): Json {
    if (!this.text.startsWith(word, this.at)) return this.fail();
    this.at += word.length;
    return value;
  }

  /** Takes `code` if it comes next, after any space. */
  private next(code: i32): bool {
    this.space();
    return this.take(code);
  }

  private take(code: i32): bool {
    if (this.peek() != code) return false;
    this.at++;
    return true;
  }

  private peek(): i32 {
    return this.ended() ? -1 : this.text.charCodeAt(this.at);
  }

  private fail(): Json {
    this.failed = true;
    return new Json(Kind.Null);
  }
}

function hexDigit(code: i32): i32 {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}
