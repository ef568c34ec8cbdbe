// JSON text as RFC 8259 defines it, read into a tree.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

typedef enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_OBJECT } json_kind;

// One value. Only the members of its kind mean something.
typedef struct json {
    json_kind kind;
    bool flag;
    double number;
    const char *text; // UTF-8, ended by a NUL that `length` does not count.
    size_t length;    // Bytes of `text`, or how many items or fields there are.
    struct json *items;
    const char **names; // Of the fields, whose values are `items`.
} json;

// The value in `text`, or NULL where it is not JSON, or the memory does not suffice.
json *json_parse(const char *text, size_t length);

// The field of an object, the last of that name, or NULL where there is none.
const json *json_field(const json *value, const char *name);

// The text of a field, or NULL where there is none or it is no text.
const char *json_text_of(const json *value, const char *name);

#endif
