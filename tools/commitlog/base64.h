/*
 * base64.h -- RFC 4648 base64 with padding, for bytes that are not text.
 *
 * Invariants: decode accepts exactly what encode makes: no white space, no missing padding, no set
 *       bits behind the end; decode(encode(x)) = x.
 */
#ifndef COMMITLOG_TOOL_BASE64_H
#define COMMITLOG_TOOL_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the text of `bytes` bytes. */
size_t base64_length(size_t bytes);
/* Writes base64_length(count) characters, no NUL. */
void base64_encode(const unsigned char *bytes, size_t count, char *text);
/* Room for length / 4 * 3 bytes at `bytes`. False: not base64. */
bool base64_decode(const char *text, size_t length, unsigned char *bytes, size_t *count);

#endif
