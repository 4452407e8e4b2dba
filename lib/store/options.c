/* options.c -- see options.h. */
#include "store/options.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "format/limits.h"
#include "format/segment_header.h"

#define OPTION_ANY (UINT64_C(1) << 62)

static const struct commitlog_option_info options_table[] = {
    {COMMITLOG_OPT_ACCESS, COMMITLOG_OPTION_CHOICE, 0, 1, 0, "access", "", "read-write|read-only",
     "whether this process may append"},
    {COMMITLOG_OPT_CREATE, COMMITLOG_OPTION_CHOICE, 0, 2, 0, "create", "",
     "if-missing|never|always", "what to do when the store is not, or already, there"},
    {COMMITLOG_OPT_SEGMENT_BYTES, COMMITLOG_OPTION_U64, 0, CLG_SEGMENT_MAX, 0, "segment_bytes",
     "bytes", "", "size of new segment files, 64K at least, a multiple of 4096; 0: as before"},
    {COMMITLOG_OPT_ENGINE, COMMITLOG_OPTION_CHOICE, 0, 1, 0, "engine", "", "staged|mmap",
     "where records are built: a ring in shared memory, or the mapped segment"},
    {COMMITLOG_OPT_STAGE_BYTES, COMMITLOG_OPTION_U64, CLG_RING_MIN, CLG_RING_MAX, CLG_RING_DEFAULT,
     "stage_bytes", "bytes", "", "size of the ring of the staged engine, a power of two"},
    {COMMITLOG_OPT_FLUSH, COMMITLOG_OPTION_CHOICE, 0, 2, 0, "flush", "", "sync|async|none",
     "default level of appends, and what flushes in the background"},
    {COMMITLOG_OPT_FLUSH_INTERVAL_MS, COMMITLOG_OPTION_U64, 1, 3600000, 10, "flush_interval_ms",
     "ms", "", "with flush = async: most time an append stays unflushed"},
    {COMMITLOG_OPT_FLUSH_BYTES, COMMITLOG_OPTION_U64, 4096, OPTION_ANY, UINT64_C(16) << 20,
     "flush_bytes", "bytes", "", "with flush = async: bytes after which it flushes earlier"},
    {COMMITLOG_OPT_FLUSH_ALIGN_BYTES, COMMITLOG_OPTION_U64, 0, 4096, 0, "flush_align_bytes",
     "bytes", "", "0, or 4096 to pad each flush to whole blocks for devices that tear them"},
    {COMMITLOG_OPT_VISIBILITY, COMMITLOG_OPTION_CHOICE, 0, 1, 0, "visibility", "",
     "published|durable", "what readers see: everything committed, or what is flushed"},
    {COMMITLOG_OPT_RECOVERY, COMMITLOG_OPTION_CHOICE, 0, 2, 0, "recovery", "",
     "tail|strict|salvage", "what opening may do after an unclean stop"},
    {COMMITLOG_OPT_MAX_BODY_BYTES, COMMITLOG_OPTION_U64, 0, CLG_RECORD_MAX - 131072u,
     UINT64_C(4) << 20, "max_body_bytes", "bytes", "", "largest body of one record"},
    {COMMITLOG_OPT_THREAD, COMMITLOG_OPTION_U64, 0, 1, 1, "thread", "", "",
     "1: upkeep by two threads of the library, 0: by commitlog_step"},
    {COMMITLOG_OPT_LIVE_AREA, COMMITLOG_OPTION_CHOICE, 0, 3, 0, "live_area", "",
     "auto|tmpfs|dir|private", "where the shared memory of the writer lies"},
    {COMMITLOG_OPT_MLOCK, COMMITLOG_OPTION_CHOICE, 0, 3, 0, "mlock", "", "none|stage|hot|required",
     "what is locked in memory"},
    {COMMITLOG_OPT_BORROW, COMMITLOG_OPTION_U64, 0, 1, 1, "borrow", "", "",
     "1: reads point into mapped segments, 0: reads copy with pread"},
    {COMMITLOG_OPT_VERIFY_READS, COMMITLOG_OPTION_U64, 0, 1, 1, "verify_reads", "", "",
     "1: every read checks the whole record, 0: its header only"},
    {COMMITLOG_OPT_PREWRITE, COMMITLOG_OPTION_CHOICE, 0, 2, 2, "prewrite", "", "no|yes|auto",
     "write zeros into new segments ahead of time; auto: while flushes are frequent"},
    {COMMITLOG_OPT_RETAIN_BYTES, COMMITLOG_OPTION_U64, 0, OPTION_ANY, 0, "retain_bytes", "bytes",
     "", "upkeep drops the oldest segments beyond this size; 0: never"},
    {COMMITLOG_OPT_RETAIN_AGE_MS, COMMITLOG_OPTION_U64, 0, OPTION_ANY / 1000000u, 0,
     "retain_age_ms", "ms", "", "upkeep drops segments whose records are all older; 0: never"},
    {COMMITLOG_OPT_RETAIN_FREE_BYTES, COMMITLOG_OPTION_U64, 0, OPTION_ANY, 0, "retain_free_bytes",
     "bytes", "", "upkeep keeps this much of the disk free; 0: off"},
    {COMMITLOG_OPT_SCRUB_BYTES_PER_S, COMMITLOG_OPTION_U64, 0, OPTION_ANY, 0, "scrub_bytes_per_s",
     "bytes/s", "", "upkeep reads sealed segments again at this rate; 0: off"},
    {COMMITLOG_OPT_FILE_MODE, COMMITLOG_OPTION_U64, 0600, 0666, 0600, "file_mode", "", "",
     "permission bits of new files (decimal 384 is octal 0600)"},
    {COMMITLOG_OPT_PRODUCER_EXPIRE_MS, COMMITLOG_OPTION_U64, 0, OPTION_ANY / 1000000u,
     UINT64_C(604800000), "producer_expire_ms", "ms", "",
     "upkeep forgets idempotent producers that were silent longer; 0: never"},
};

#define OPTIONS_COUNT (sizeof(options_table) / sizeof(options_table[0]))

static const struct commitlog_option_info *options_row(int32_t id)
{
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        if (options_table[i].id == id) {
            return &options_table[i];
        }
    }
    return NULL;
}

void clg_options_init(struct commitlog_options *options)
{
    memset(options, 0, sizeof(*options));
    options->os = clg_os_default();
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        CLG_ASSERT((uint32_t)options_table[i].id < CLG_OPTIONS_MAX);
        options->values[options_table[i].id] = options_table[i].initial;
    }
}

int32_t commitlog_options_create(struct commitlog_options **out)
{
    if (out == NULL) {
        return COMMITLOG_EINVAL;
    }
    const struct commitlog_os *os = clg_os_default();
    struct commitlog_options *options = os->alloc(os, sizeof(*options));
    if (options == NULL) {
        return COMMITLOG_ENOMEM;
    }
    clg_options_init(options);
    *out = options;
    return COMMITLOG_OK;
}

void commitlog_options_free(struct commitlog_options *options)
{
    const struct commitlog_os *os = clg_os_default();
    os->free(os, options);
}

void commitlog_options_set_os(struct commitlog_options *options, const struct commitlog_os *os)
{
    if (options != NULL) {
        options->os = os != NULL ? os : clg_os_default();
    }
}

void commitlog_options_set_progress(struct commitlog_options *options,
                                    struct commitlog_progress *progress)
{
    if (options != NULL) {
        options->progress = progress;
    }
}

int32_t commitlog_options_set(struct commitlog_options *options, int32_t id, uint64_t value,
                              struct commitlog_error *err)
{
    if (options == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "options is NULL");
    }
    const struct commitlog_option_info *row = options_row(id);
    if (row == NULL) {
        return clg_fail(err, COMMITLOG_ENOTFOUND, 0, CLG_NO_POSITION, "no option has id %d", id);
    }
    bool good = value >= row->minimum && value <= row->maximum;
    if (id == COMMITLOG_OPT_SEGMENT_BYTES) {
        good = value == 0 || clg_segment_size_ok(value);
    } else if (id == COMMITLOG_OPT_STAGE_BYTES) {
        good = good && clg_is_power_of_two(value);
    } else if (id == COMMITLOG_OPT_FLUSH_ALIGN_BYTES) {
        good = value == 0 || value == 4096;
    } else if (id == COMMITLOG_OPT_FILE_MODE) {
        good = good && (value & ~UINT64_C(0666)) == 0;
    }
    if (!good) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "option %s: %llu is not allowed (%llu to %llu: %s)", row->name,
                        (unsigned long long)value, (unsigned long long)row->minimum,
                        (unsigned long long)row->maximum, row->summary);
    }
    options->values[id] = value;
    return COMMITLOG_OK;
}

int32_t commitlog_options_get(const struct commitlog_options *options, int32_t id,
                              uint64_t *out_value)
{
    if (options == NULL || out_value == NULL) {
        return COMMITLOG_EINVAL;
    }
    if (options_row(id) == NULL) {
        return COMMITLOG_ENOTFOUND;
    }
    *out_value = options->values[id];
    return COMMITLOG_OK;
}

int32_t commitlog_option_info(uint32_t index, struct commitlog_option_info *out)
{
    if (out == NULL) {
        return COMMITLOG_EINVAL;
    }
    if (index >= OPTIONS_COUNT) {
        return COMMITLOG_ENOTFOUND;
    }
    *out = options_table[index];
    return COMMITLOG_OK;
}

/* "a|b|c": the index of the word, or false. */
static bool options_parse_choice(const char *choices, const char *text, uint64_t *out)
{
    size_t bytes = strlen(text);
    uint64_t index = 0;
    for (const char *at = choices; bytes > 0 && *at != '\0'; index++) {
        size_t word = strcspn(at, "|");
        if (word == bytes && memcmp(at, text, bytes) == 0) {
            *out = index;
            return true;
        }
        at += word;
        at += *at == '|';
    }
    return false;
}

/* A number with an optional K, M, G or T. */
static bool options_parse_number(const char *text, uint64_t *out)
{
    static const char suffixes[] = "KMGT";
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (!clg_mul_u64(value, 10, &value) || !clg_add_u64(value, (uint64_t)(*at - '0'), &value)) {
            return false;
        }
    }
    if (at == text) {
        return false;
    }
    const char *suffix = *at != '\0' ? strchr(suffixes, *at) : NULL;
    if (suffix != NULL) {
        for (const char *s = suffixes; s <= suffix; s++) {
            if (!clg_mul_u64(value, 1024, &value)) {
                return false;
            }
        }
        at++;
    }
    *out = value;
    return *at == '\0';
}

int32_t commitlog_options_set_text(struct commitlog_options *options, const char *name_text,
                                   const char *value_text, struct commitlog_error *err)
{
    if (options == NULL || name_text == NULL || value_text == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "an argument is NULL");
    }
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        const struct commitlog_option_info *row = &options_table[i];
        if (strcmp(row->name, name_text) != 0) {
            continue;
        }
        uint64_t value = 0;
        bool good = row->type == COMMITLOG_OPTION_CHOICE
                        ? options_parse_choice(row->choices, value_text, &value)
                        : options_parse_number(value_text, &value);
        if (!good) {
            return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                            "option %s: '%.40s' is not %s", row->name, value_text,
                            row->type == COMMITLOG_OPTION_CHOICE ? row->choices : "a number");
        }
        return commitlog_options_set(options, row->id, value, err);
    }
    return clg_fail(err, COMMITLOG_ENOTFOUND, 0, CLG_NO_POSITION, "no option is named '%.60s'",
                    name_text);
}

int clg_options_check(const struct commitlog_options *options, struct commitlog_error *err)
{
    bool reads = clg_option(options, COMMITLOG_OPT_ACCESS) == COMMITLOG_READ_ONLY;
    if (reads && clg_option(options, COMMITLOG_OPT_CREATE) == COMMITLOG_CREATE_ALWAYS) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "a read-only open cannot create a store");
    }
    return COMMITLOG_OK;
}
