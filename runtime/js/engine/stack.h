/* Included before each file of QuickJS.
 *
 * QuickJS does not look at the depth of its stack where it finds __wasi__ defined, so an endless
 * recursion of a script would trap instead of throwing. Its other uses of the name are covered by
 * the two names below: EMSCRIPTEN, which its build defines anyway, and __GLIBC__, which says where
 * malloc_usable_size is declared. The headers of the C library need __wasi__, so they come first. */
#include <assert.h>
#include <errno.h>
#include <fenv.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#undef __wasi__
#define __GLIBC__ 2
