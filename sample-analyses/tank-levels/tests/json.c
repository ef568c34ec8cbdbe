// The reader of JSON takes what RFC 8259 allows and nothing else. Built and run by ../../test.

#include "../src/json.h"

#include <stdio.h>
#include <string.h>

static int failures;

static void check(bool right, const char *what) {
    if (right) return;
    fprintf(stderr, "failed: %s\n", what);
    failures++;
}

static json *parse(const char *text) {
    return json_parse(text, strlen(text));
}

int main(void) {
    const char *good[] = {
        "null", "true", " false ", "0", "-0", "-12.5e+3", "1E5", "\"\"", "[]", "{}", "\n[ 1 , [ ] ]\t",
        "{\"a\":{\"b\":[null]},\"a\":2}", "\"\xc3\xa4\"",
    };
    const char *bad[] = {
        "", "nul", "nullx", "[1,]", "{,}", "{\"a\"}", "{\"a\":}", "{a:1}", "01", "1.", "1e", "+1", ".5",
        "-", "\"\\x\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\u12\"", "\"\\u0000\"",
        "\"a", "\"\\", "\"\\\"", "\"\x01\"", "'a'", "[", "{", "[}", "[1 2]", "1 2", "NaN",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) check(parse(good[i]) != NULL, good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(parse(bad[i]) == NULL, bad[i]);

    const json *text = parse("\"\\u00e9\\ud83d\\ude00\\n\\/\\\\\\\"\"");
    check(text && !strcmp(text->text, "\xc3\xa9\xf0\x9f\x98\x80\n/\\\""), "escapes");
    const json *object = parse("{\"a\": 1, \"b\": \"x\", \"a\": -2.5}");
    check(object && json_field(object, "a")->number == -2.5, "the last field of a name");
    check(object && !json_field(object, "c") && !json_text_of(object, "a"), "no such field");
    char deep[200];
    memset(deep, '[', sizeof deep);
    check(!json_parse(deep, sizeof deep), "deep nesting");
    return failures != 0;
}
