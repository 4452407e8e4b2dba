/*
 * when.h -- times and amounts as text.
 *
 * Owns: the grammar of TIME: RFC 3339 ("2024-05-01T12:00:00.5+02:00"), Unix milliseconds
 *       ("1714557600500"), or an age ("10m", "1h30m", "2d"; units ms s m h d w).
 * Invariants: results stay in [0, 2^63) nanoseconds; what is older than 1970 is 1970, and what is
 *       later than 2262 is the last nanosecond there is.
 * Threads and locks: none.
 * Failure modes: anything else is refused, never guessed.
 */
#ifndef COMMITLOG_TOOL_WHEN_H
#define COMMITLOG_TOOL_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest age or duration that nanoseconds can count. */
#define WHEN_SPAN_MAX_MS UINT64_C(9223372036854)

/* TIME as nanoseconds since 1970; ages count back from now_ns. */
bool when_parse(const char *text, int64_t now_ns, int64_t *time_ns);
/* An age alone, in milliseconds. */
bool when_parse_age(const char *text, uint64_t *age_ms);
int64_t when_now_ns(void);
/* Seconds on a clock that never steps. */
double when_clock(void);

/* "2024-05-01T12:00:00.500Z", or "-" for 0; at least 32 bytes. */
void when_format(int64_t time_ns, char *text, size_t size);
/* A length of time in its two largest units: "9m58s", "2d3h", "350ms"; at least 32 bytes. */
void when_span(uint64_t ms, char *text, size_t size);
/* The same in all its units, as when_parse_age reads it: "1d2h3m4s500ms"; at least 48 bytes. */
void when_age(uint64_t ms, char *text, size_t size);
/* "12.3 MiB". */
void when_amount(uint64_t bytes, char *text, size_t size);

#endif
