// Stands in for the LZ4 library where its headers are not installed: valid LZ4 blocks that store instead of compress.
//
// Verilator's FST writer needs only these two functions. A block is one sequence of literals (LZ4 block format: token
// with the literal length in its upper four bits, 15 continued by bytes that are added up to one below 255, literals).
// Waveform files get larger, every reader still reads them.
#pragma once
#include <string.h>

static inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

static inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    if (capacity < LZ4_compressBound(size)) return 0;
    char* out = target;
    int rest = size - 15;
    *out++ = (char)((rest < 0 ? size : 15) << 4);
    for (; rest >= 255; rest -= 255) *out++ = (char)255;
    if (rest >= 0) *out++ = (char)rest;
    memcpy(out, source, (size_t)size);
    return (int)(out - target) + size;
}
