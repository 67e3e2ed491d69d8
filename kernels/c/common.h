/* What both kinds of library begin with. */
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 64

/* A pointer into `memory` at a multiple of LINE_BYTES; there must be LINE_BYTES more than asked for. */
static void *at_line(char *memory) {
    return memory + (LINE_BYTES - (uintptr_t)memory % LINE_BYTES) % LINE_BYTES;
}

/* Bytes of floats up to the end of their last line. */
static uint64_t in_lines(uint64_t floats) {
    return (floats * sizeof(float) + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}
