/*
 * control_out.c -- bodies of group and work records, and of tombstones: see control_out.h.
 */
#include "control_out.h"

#include <assert.h>
#include <inttypes.h>

#include "text.h"
#include "when.h"

/* What commitlog-format(5) says. */
enum {
    CONTROL_AT_OPERATION = 0,
    CONTROL_AT_NAME_BYTES = 2,
    CONTROL_NAME_MAX = 255,
    CONTROL_ENTRIES_MAX = 2048,
    GROUP_AT_EPOCH = 4,
    GROUP_AT_FLAGS = 8,
    GROUP_AT_COUNT = 12,
    GROUP_FIXED_BYTES = 16,
    GROUP_ENTRY_BYTES = 16,
    GROUP_SETTINGS = 1,
    GROUP_OPERATIONS = 4,
    WORK_AT_COUNT = 4,
    WORK_FIXED_BYTES = 8,
    WORK_ENTRY_BYTES = 32,
    WORK_ENTRIES = 1,
    ENTRY_AT_QUEUE = 0,
    ENTRY_AT_COUNT = 4, /* of work */
    ENTRY_AT_OFFSET = 8,
    ENTRY_AT_VISIBLE = 16,
    ENTRY_AT_ATTEMPTS = 24,
    ENTRY_AT_STATE = 28,
    TOMBSTONE_AT_QUEUE = 0,
    TOMBSTONE_AT_AGE = 8,
    TOMBSTONE_AT_BELOW = 16,
    TOMBSTONE_BYTES = 24,
    CONTROL_SHOWN = 8, /* entries of a line */
    CONTROL_MS_NS = 1000000
};

struct control {
    struct commitlog_slice name;
    const char *operation;
    const unsigned char *entries;
    uint32_t count;
    uint32_t epoch; /* of the group */
    bool work;
    bool settings;
    bool keep;
};

uint64_t control_number(const unsigned char *bytes, size_t size)
{
    assert(bytes != NULL && size <= 8);
    uint64_t number = 0;
    for (size_t i = size; i-- > 0;) {
        number = number << 8 | bytes[i];
    }
    return number;
}

static bool control_is_tombstone(const struct commitlog_message *message)
{
    return message->kind == COMMITLOG_KIND_TOMBSTONE && message->body.bytes == TOMBSTONE_BYTES;
}

static bool control_decode(const struct commitlog_message *message, struct control *out)
{
    static const char *const operations[GROUP_OPERATIONS + 1] = {
        [1] = "settings", [2] = "offsets", [3] = "delete", [4] = "reset"};
    const unsigned char *body = message->body.data;
    const size_t bytes = message->body.bytes;
    const bool work = message->kind == COMMITLOG_KIND_WORK;
    const size_t fixed = work ? WORK_FIXED_BYTES : GROUP_FIXED_BYTES;
    if ((!work && message->kind != COMMITLOG_KIND_GROUP) || bytes < fixed) {
        return false;
    }
    const uint32_t operation = body[CONTROL_AT_OPERATION];
    if (operation == 0 || operation > (work ? WORK_ENTRIES : GROUP_OPERATIONS)) {
        return false;
    }
    const size_t name_bytes = (size_t)control_number(body + CONTROL_AT_NAME_BYTES, 2);
    const size_t entries_at = (fixed + name_bytes + 7) / 8 * 8;
    const size_t each = work ? WORK_ENTRY_BYTES : GROUP_ENTRY_BYTES;
    *out = (struct control){
        .name = {body + fixed, name_bytes},
        .operation = work ? "work" : operations[operation],
        .count = (uint32_t)control_number(body + (work ? WORK_AT_COUNT : GROUP_AT_COUNT), 4),
        .epoch = work ? 0 : (uint32_t)control_number(body + GROUP_AT_EPOCH, 4),
        .work = work,
        .settings = !work && operation == GROUP_SETTINGS,
        .keep = !work && (body[GROUP_AT_FLAGS] & 1u) != 0};
    if (name_bytes == 0 || name_bytes > CONTROL_NAME_MAX || out->count > CONTROL_ENTRIES_MAX ||
        bytes != entries_at + out->count * each || !text_is_utf8(out->name)) {
        return false;
    }
    out->entries = body + entries_at;
    return true;
}

/* ---- a line ---------------------------------------------------------------------------------- */

static bool control_put_work(struct out *out, const unsigned char *entry)
{
    const uint64_t offset = control_number(entry + ENTRY_AT_OFFSET, 8);
    const uint64_t count = control_number(entry + ENTRY_AT_COUNT, 4);
    const int64_t visible_at_ms = (int64_t)control_number(entry + ENTRY_AT_VISIBLE, 8);
    bool good = out_format(out, "  #%" PRIu64 " @%" PRIu64,
                           control_number(entry + ENTRY_AT_QUEUE, 4), offset);
    if (count > 1) {
        good = good && out_format(out, "-%" PRIu64, offset + count - 1);
    }
    if (control_number(entry + ENTRY_AT_STATE, 4) == COMMITLOG_WORK_DONE) {
        return good && out_text(out, " done");
    }
    char until[32];
    when_format(visible_at_ms * CONTROL_MS_NS, until, sizeof(until));
    return good && out_format(out, " pending attempts %" PRIu64 " until %s",
                              control_number(entry + ENTRY_AT_ATTEMPTS, 4), until);
}

static bool control_put_tombstone(struct out *out, const unsigned char *body)
{
    const uint64_t age_ms = control_number(body + TOMBSTONE_AT_AGE, 8);
    char age[48];
    when_age(age_ms, age, sizeof(age));
    return out_format(out, "  #%" PRIu64 " below %" PRIu64,
                      control_number(body + TOMBSTONE_AT_QUEUE, 4),
                      control_number(body + TOMBSTONE_AT_BELOW, 8)) &&
           (age_ms == 0 || out_format(out, " age %s", age));
}

bool control_put_line(struct out *out, const struct commitlog_message *message)
{
    assert(out != NULL && message != NULL);
    struct control control;
    if (control_is_tombstone(message)) {
        return control_put_tombstone(out, message->body.data);
    }
    if (!control_decode(message, &control)) {
        return true;
    }
    bool good = out_text(out, "  group ") && text_put_plain(out, control.name) &&
                out_format(out, "  %s", control.operation);
    if (control.settings) {
        good = good && out_text(out, control.keep ? " keep" : " no keep");
    }
    const uint32_t shown = control.count < CONTROL_SHOWN ? control.count : CONTROL_SHOWN;
    for (uint32_t i = 0; good && i < shown; i++) {
        const unsigned char *entry =
            control.entries + (size_t)i * (control.work ? WORK_ENTRY_BYTES : GROUP_ENTRY_BYTES);
        good = control.work ? control_put_work(out, entry)
                            : out_format(out, "  #%" PRIu64 " @%" PRIu64,
                                         control_number(entry + ENTRY_AT_QUEUE, 4),
                                         control_number(entry + ENTRY_AT_OFFSET, 8));
    }
    return good && (shown == control.count ||
                    out_format(out, "  and %" PRIu32 " more", control.count - shown));
}

/* ---- an object ------------------------------------------------------------------------------- */

static bool control_put_entry(struct out *out, const struct control *control, uint32_t i)
{
    const unsigned char *entry =
        control->entries + (size_t)i * (control->work ? WORK_ENTRY_BYTES : GROUP_ENTRY_BYTES);
    bool good = out_format(out, "%s{\"queue_number\":%" PRIu64 ",\"offset\":%" PRIu64,
                           i > 0 ? "," : "", control_number(entry + ENTRY_AT_QUEUE, 4),
                           control_number(entry + ENTRY_AT_OFFSET, 8));
    if (control->work) {
        const bool done = control_number(entry + ENTRY_AT_STATE, 4) == COMMITLOG_WORK_DONE;
        good =
            good && out_format(out,
                               ",\"count\":%" PRIu64 ",\"state\":\"%s\",\"attempts\":%" PRIu64
                               ",\"visible_at_ms\":%" PRIu64,
                               control_number(entry + ENTRY_AT_COUNT, 4), done ? "done" : "pending",
                               control_number(entry + ENTRY_AT_ATTEMPTS, 4),
                               control_number(entry + ENTRY_AT_VISIBLE, 8));
    }
    return good && out_put(out, "}", 1);
}

bool control_put_fields(struct out *out, const struct commitlog_message *message)
{
    assert(out != NULL && message != NULL);
    struct control control;
    if (control_is_tombstone(message)) {
        const unsigned char *body = message->body.data;
        return out_format(out,
                          ",\"first_queue_number\":%" PRIu64 ",\"keep_age_ms\":%" PRIu64
                          ",\"expired_below\":%" PRIu64,
                          control_number(body + TOMBSTONE_AT_QUEUE, 4),
                          control_number(body + TOMBSTONE_AT_AGE, 8),
                          control_number(body + TOMBSTONE_AT_BELOW, 8));
    }
    if (!control_decode(message, &control)) {
        return true;
    }
    bool good = out_text(out, ",\"group\":") && text_put(out, control.name) &&
                out_format(out, ",\"operation\":\"%s\"", control.operation);
    if (!control.work) {
        good = good && out_format(out, ",\"group_epoch\":%" PRIu32, control.epoch);
    }
    if (control.settings) {
        good = good && out_format(out, ",\"keep\":%s", control.keep ? "true" : "false");
    }
    good = good && out_text(out, ",\"entries\":[");
    for (uint32_t i = 0; good && i < control.count; i++) {
        good = control_put_entry(out, &control, i);
    }
    return good && out_put(out, "]", 1);
}
