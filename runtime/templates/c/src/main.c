// Tells which records of the scope are above LIMIT.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static _Noreturn void fail(const char *message) {
    fprintf(stderr, "%s\n", message);
    exit(1);
}

// A JSON value of a text, or NULL.
static json *value_of(const char *text) {
    return text ? json_parse(text, strlen(text)) : NULL;
}

int main(void) {
    // Each line is told when it is printed, in its place among those of stderr.
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    const json *limit = value_of(getenv("LIMIT"));
    if (!limit || limit->kind != JSON_NUMBER) fail("LIMIT is not a number: set it as a variable");
    const json *scope = value_of(getenv("T_ANALYSIS_DATA"));
    if (!scope || scope->kind != JSON_LIST) fail("the scope is not a list of device records");
    int above = 0;
    for (size_t i = 0; i < scope->length; i++) {
        const json *record = &scope->items[i];
        const json *value = json_field(record, "value");
        if (!value || value->kind != JSON_NUMBER || value->number <= limit->number) continue;
        const char *variable = json_text_of(record, "variable");
        const char *unit = json_text_of(record, "unit");
        printf("%s: %g %s is above %g\n", variable ? variable : "?", value->number,
               unit ? unit : "", limit->number);
        above++;
    }
    printf("%d of %zu records are above %g\n", above, scope->length, limit->number);
    return 0;
}
