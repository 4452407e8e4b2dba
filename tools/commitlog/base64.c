/*
 * base64.c -- see base64.h.
 */
#include "base64.h"

#include <assert.h>
#include <stdint.h>

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_length(size_t bytes)
{
    assert(bytes <= SIZE_MAX / 2);
    return (bytes + 2) / 3 * 4;
}

void base64_encode(const unsigned char *bytes, size_t count, char *text)
{
    assert(bytes != NULL || count == 0);
    assert(text != NULL || count == 0);
    for (size_t i = 0; i < count; i += 3) {
        const size_t left = count - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes[i + 2] : 0;
        *text++ = base64_digits[group >> 18];
        *text++ = base64_digits[group >> 12 & 63];
        *text++ = left > 1 ? base64_digits[group >> 6 & 63] : '=';
        *text++ = left > 2 ? base64_digits[group & 63] : '=';
    }
}

static int base64_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return digit - 'A';
    }
    if (digit >= 'a' && digit <= 'z') {
        return digit - 'a' + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return digit - '0' + 52;
    }
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

bool base64_decode(const char *text, size_t length, unsigned char *bytes, size_t *count)
{
    assert(count != NULL);
    assert((text != NULL && bytes != NULL) || length == 0);
    size_t used = 0;
    if (length % 4 != 0) {
        return false;
    }
    for (size_t i = 0; i < length; i += 4) {
        const bool last = i + 4 == length;
        const int pads = !last || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        uint32_t group = 0;
        for (int j = 0; j < 4 - pads; j++) {
            const int value = base64_value(text[i + (size_t)j]);
            if (value < 0) {
                return false;
            }
            group |= (uint32_t)value << (18 - 6 * j);
        }
        if ((pads == 1 && (group & 0xff) != 0) || (pads == 2 && (group & 0xffff) != 0)) {
            return false;
        }
        for (int j = 0; j < 3 - pads; j++) {
            bytes[used++] = (unsigned char)(group >> (16 - 8 * j));
        }
    }
    *count = used;
    return true;
}
