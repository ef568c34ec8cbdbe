#include "json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Deeper nesting is refused: it would end the stack.
enum { MAX_DEPTH = 64 };

// Goes through the text once. The run ends soon after, so nothing is given back.
typedef struct {
    const char *at, *end;
} reader;

static bool read_value(reader *r, json *value, int depth);

static void skip_space(reader *r) {
    while (r->at < r->end && memchr(" \t\r\n", *r->at, 4)) r->at++;
}

static bool take(reader *r, char c) {
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

// Takes `c` if it comes next, after any space.
static bool next(reader *r, char c) {
    skip_space(r);
    return take(r, c);
}

static bool take_word(reader *r, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length)) return false;
    r->at += length;
    return true;
}

// One UTF-16 unit of a \u escape, or -1.
static int32_t read_unit(reader *r) {
    int32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        if (r->at == r->end) return -1;
        char c = *r->at++;
        int digit = c >= '0' && c <= '9' ? c - '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10
            : c >= 'A' && c <= 'F' ? c - 'A' + 10
            : -1;
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

// The character of a \u escape, whose `\u` is taken; two escapes where it needs a pair. Or -1.
static int32_t read_escaped(reader *r) {
    int32_t unit = read_unit(r);
    if (unit < 0xd800 || unit > 0xdfff) return unit;
    if (unit > 0xdbff || !take(r, '\\') || !take(r, 'u')) return -1;
    int32_t low = read_unit(r);
    if (low < 0xdc00 || low > 0xdfff) return -1;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

// The character of an escape of one letter, or -1.
static int32_t short_escape(char letter) {
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return -1;
    }
}

static char *put_utf8(char *to, int32_t c) {
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

static bool read_text(reader *r, const char **text, size_t *length) {
    if (!take(r, '"')) return false;
    // An escape is never shorter than what it stands for.
    const char *close = r->at;
    while (close < r->end && *close != '"') close += *close == '\\' ? 2 : 1;
    if (close >= r->end) return false;
    char *to = malloc((size_t)(close - r->at) + 1);
    if (!to) return false;
    *text = to;
    while (r->at < close) {
        char c = *r->at++;
        if ((unsigned char)c < 0x20) return false;
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        c = *r->at++;
        int32_t escaped = c == 'u' ? read_escaped(r) : short_escape(c);
        // A text with a NUL in it is none that C could show.
        if (escaped <= 0) return false;
        to = put_utf8(to, escaped);
    }
    *to = 0;
    *length = (size_t)(to - *text);
    return take(r, '"');
}

static bool digits(reader *r) {
    const char *start = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return r->at > start;
}

static bool read_number(reader *r, json *value) {
    const char *start = r->at;
    take(r, '-');
    if (!take(r, '0') && !digits(r)) return false;
    if (take(r, '.') && !digits(r)) return false;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+')) take(r, '-');
        if (!digits(r)) return false;
    }
    size_t length = (size_t)(r->at - start);
    char *digits = malloc(length + 1);
    if (!digits) return false;
    memcpy(digits, start, length);
    digits[length] = 0;
    value->kind = JSON_NUMBER;
    value->number = strtod(digits, NULL);
    free(digits);
    return true;
}

// The items of a list up to `]`, or the fields of an object up to `}`. The opening is taken.
static bool read_items(reader *r, json *value, int depth) {
    bool object = value->kind == JSON_OBJECT;
    char close = object ? '}' : ']';
    if (next(r, close)) return true;
    size_t room = 0;
    do {
        if (value->length == room) {
            room = room ? 2 * room : 8;
            value->items = realloc(value->items, room * sizeof *value->items);
            if (object) value->names = realloc(value->names, room * sizeof *value->names);
            if (!value->items || (object && !value->names)) return false;
        }
        if (object) {
            size_t length;
            skip_space(r);
            if (!read_text(r, &value->names[value->length], &length) || !next(r, ':')) return false;
        }
        if (!read_value(r, &value->items[value->length++], depth + 1)) return false;
    } while (next(r, ','));
    return next(r, close);
}

static bool read_value(reader *r, json *value, int depth) {
    *value = (json){.kind = JSON_NULL};
    skip_space(r);
    if (depth > MAX_DEPTH || r->at == r->end) return false;
    switch (*r->at) {
    case '{':
        r->at++;
        value->kind = JSON_OBJECT;
        return read_items(r, value, depth);
    case '[':
        r->at++;
        value->kind = JSON_LIST;
        return read_items(r, value, depth);
    case '"':
        value->kind = JSON_TEXT;
        return read_text(r, &value->text, &value->length);
    case 'n':
        return take_word(r, "null");
    case 't':
        value->kind = JSON_BOOL;
        value->flag = true;
        return take_word(r, "true");
    case 'f':
        value->kind = JSON_BOOL;
        return take_word(r, "false");
    default:
        return read_number(r, value);
    }
}

json *json_parse(const char *text, size_t length) {
    reader r = {text, text + length};
    json *value = malloc(sizeof *value);
    if (!value || !read_value(&r, value, 0)) return NULL;
    skip_space(&r);
    return r.at == r.end ? value : NULL;
}

const json *json_field(const json *value, const char *name) {
    if (value->kind != JSON_OBJECT) return NULL;
    for (size_t i = value->length; i-- > 0;) {
        if (!strcmp(value->names[i], name)) return &value->items[i];
    }
    return NULL;
}

const char *json_text_of(const json *value, const char *name) {
    const json *field = json_field(value, name);
    return field && field->kind == JSON_TEXT ? field->text : NULL;
}
