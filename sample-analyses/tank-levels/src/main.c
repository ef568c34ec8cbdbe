// Turns the pressures that tanks report into how full they are, and tells which run low.
//
// How a pressure becomes a level is known to the operator alone: the calibration is a secret.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static _Noreturn void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

static const char *setting(const char *key) {
    const char *value = getenv(key);
    if (!value) {
        fail("%s is not in the environment: set a variable, or a policy that grants the secret", key);
    }
    return value;
}

// The number that a whole text is; false where it is none.
static bool number_in(const char *text, double *number) {
    json *value = json_parse(text, strlen(text));
    if (!value || value->kind != JSON_NUMBER) return false;
    *number = value->number;
    return true;
}

static char *read_stdin(size_t *length) {
    size_t room = 1 << 16, filled = 0, more;
    char *text = malloc(room);
    while (text && (more = fread(text + filled, 1, room - filled, stdin)) > 0) {
        filled += more;
        if (filled == room) text = realloc(text, room *= 2);
    }
    if (!text || ferror(stdin)) fail("the scope could not be read");
    *length = filled;
    return text;
}

// A field of a tank's calibration; false where it is no number.
static bool calibrated(const json *tank, const char *name, double *number) {
    const json *field = json_field(tank, name);
    if (!field || field->kind != JSON_NUMBER) return false;
    *number = field->number;
    return true;
}

int main(void) {
    // Each line is told when it is printed, in its place among those of stderr.
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    double minimum;
    if (!number_in(setting("MIN_PERCENT"), &minimum)) fail("MIN_PERCENT is not a number");
    const char *secret = setting("TANK_CALIBRATION");
    json *calibration = json_parse(secret, strlen(secret));
    if (!calibration || calibration->kind != JSON_OBJECT) {
        fail("TANK_CALIBRATION is not a JSON object of tanks");
    }
    size_t length;
    char *text = read_stdin(&length);
    json *scope = json_parse(text, length);
    if (!scope || scope->kind != JSON_LIST) fail("the scope is not a list of device records");

    int usable = 0, low = 0;
    for (size_t i = 0; i < scope->length; i++) {
        const json *record = &scope->items[i];
        const char *name = json_text_of(record, "variable");
        const json *value = json_field(record, "value");
        if (!name || !value || value->kind != JSON_NUMBER) {
            fprintf(stderr, "record %zu skipped: it has no variable with a number\n", i + 1);
            continue;
        }
        const json *tank = json_field(calibration, name);
        double empty, full;
        if (!tank || !calibrated(tank, "empty", &empty) || !calibrated(tank, "full", &full) ||
            empty == full) {
            fprintf(stderr, "record %zu skipped: %s is not calibrated\n", i + 1, name);
            continue;
        }
        usable++;
        double percent = (value->number - empty) / (full - empty) * 100;
        if (percent < -5 || percent > 105) {
            fprintf(stderr, "%s: the sensor reads %.0f %%, check it\n", name, percent);
        } else if (percent < minimum) {
            low++;
            printf("%s: %.1f %% full, below %g %%: order a refill\n", name, percent, minimum);
        } else {
            printf("%s: %.1f %% full\n", name, percent);
        }
    }
    if (!usable) fail("no usable record in the scope");
    printf("%d of %d tanks run low\n", low, usable);
    return 0;
}
