/*
 * report.c -- reports as text and JSON: see report.h.
 */
#include "report.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "record_out.h"
#include "text.h"
#include "when.h"

static const char *const report_tails[] = {
    [COMMITLOG_TAIL_CLEAN] = "clean",
    [COMMITLOG_TAIL_TORN] = "torn",
    [COMMITLOG_TAIL_UNPROVABLE] = "unprovable",
    [COMMITLOG_TAIL_DAMAGED] = "damaged",
};

static const char *report_tail(uint32_t tail)
{
    return tail <= COMMITLOG_TAIL_DAMAGED ? report_tails[tail] : "unknown";
}

uint32_t report_print_damage(struct cli *cli, const struct commitlog_report *report)
{
    uint32_t count = 0;
    for (;; count++) {
        struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
        if (commitlog_report_damage(report, count, &damage) != COMMITLOG_OK) {
            return count;
        }
        const bool placed = damage.from_position != UINT64_MAX;
        (void)out_text(&cli->out, "damage: ");
        if (placed) {
            (void)out_format(&cli->out, "positions %" PRIu64 " to %" PRIu64, damage.from_position,
                             damage.to_position);
        }
        if (damage.topic[0] != '\0') {
            (void)out_text(&cli->out, placed ? ", topic " : "topic ");
            (void)text_put_plain(&cli->out,
                                 (struct commitlog_slice){damage.topic, strlen(damage.topic)});
        }
        if (damage.queue != UINT32_MAX) {
            (void)out_format(&cli->out, ", queue %" PRIu32, damage.queue);
            if (damage.to_offset == damage.from_offset + 1) {
                (void)out_format(&cli->out, ", offset %" PRIu64, damage.from_offset);
            } else if (damage.to_offset > damage.from_offset) {
                (void)out_format(&cli->out, ", offsets %" PRIu64 " to %" PRIu64, damage.from_offset,
                                 damage.to_offset - 1);
            }
        }
        (void)out_format(&cli->out, ": %s\n", damage.reason);
    }
}

/* Some of the damage lies in files that can be made again. */
static bool report_derived(const struct commitlog_report *report)
{
    for (uint32_t i = 0;; i++) {
        struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
        if (commitlog_report_damage(report, i, &damage) != COMMITLOG_OK) {
            return false;
        }
        if (strncmp(damage.reason, "view/", 5) == 0 && strstr(damage.reason, "move it") == NULL) {
            return true;
        }
    }
}

static void report_print_recovery(struct cli *cli, const struct commitlog_recovery *r)
{
    struct out *out = &cli->out;
    char amount[32];
    when_amount(r->bytes_scanned, amount, sizeof(amount));
    (void)out_format(out, "last writer:  %s\n",
                     r->clean_close != 0 ? "closed the store"
                     : r->same_boot != 0 ? "died; the machine has been up since"
                                         : "died, or the machine did");
    (void)out_format(out, "checked:      %" PRIu64 " records, %s, in %.1f ms\n", r->records_scanned,
                     amount, (double)r->duration_ns / 1e6);
    (void)out_format(out,
                     "kept:         positions %" PRIu64 " to %" PRIu64
                     "; known durable up to %" PRIu64 "\n",
                     r->first, r->end, r->witness);
    when_amount(r->bytes_cut, amount, sizeof(amount));
    (void)out_format(out, "end of log:   %s", report_tail(r->tail));
    if (r->bytes_cut > 0) {
        (void)out_format(out,
                         "; cut: %s, %" PRIu64 " whole records among them, %" PRIu32
                         " file(s) in quarantine",
                         amount, r->records_cut, r->quarantined);
    }
    (void)out_text(out, "\n");
    if (r->bytes_rewritten > 0 || r->records_from_stage > 0) {
        when_amount(r->bytes_rewritten, amount, sizeof(amount));
        (void)out_format(
            out, "rewritten:    %s; %" PRIu64 " records saved from the dead writer's memory\n",
            amount, r->records_from_stage);
    }
    if (r->holes_made > 0 || r->views_rebuilt > 0) {
        (void)out_format(out, "made:         %" PRIu64 " holes; %" PRIu64 " views built again\n",
                         r->holes_made, r->views_rebuilt);
    }
}

void report_print_text(struct cli *cli, const struct commitlog_report *report, bool verify)
{
    assert(cli != NULL && report != NULL);
    struct commitlog_recovery r = {.struct_bytes = sizeof(r)};
    if (commitlog_report_recovery(report, &r) != COMMITLOG_OK) {
        return;
    }
    if (!verify) {
        report_print_recovery(cli, &r);
    } else {
        char amount[32];
        when_amount(r.bytes_scanned, amount, sizeof(amount));
        (void)out_format(&cli->out,
                         "checked:      %" PRIu64 " records, %s, in %.1f ms\n"
                         "kept:         positions %" PRIu64 " to %" PRIu64 "\n",
                         r.records_scanned, amount, (double)r.duration_ns / 1e6, r.first, r.end);
        (void)out_format(&cli->out, "end of log:   %s%s\n", report_tail(r.tail),
                         r.tail == COMMITLOG_TAIL_TORN || r.tail == COMMITLOG_TAIL_UNPROVABLE
                             ? " (the writer died while writing; the next open for writing, or "
                               "`commitlog recover', puts it right)"
                             : "");
    }
    const char *line;
    for (uint32_t i = 0; (line = commitlog_report_line(report, i)) != NULL; i++) {
        (void)out_format(&cli->out, "%s%.900s\n", verify ? "note: " : "plan: ", line);
    }
    const uint32_t damaged = report_print_damage(cli, report);
    if (verify && report_derived(report)) {
        (void)out_text(&cli->out, "note: what is wrong in view/ is derived: `commitlog rebuild' "
                                  "makes it again from the log\n");
    }
    if (verify) {
        (void)out_format(&cli->out, "verdict:      %s\n", damaged > 0 ? "DAMAGED" : "sound");
    }
}

static json_t *report_damage_array(const struct commitlog_report *report)
{
    json_t *list = json_array();
    for (uint32_t i = 0;; i++) {
        struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
        if (commitlog_report_damage(report, i, &damage) != COMMITLOG_OK) {
            return list;
        }
        const bool queue = damage.queue != UINT32_MAX;
        const bool placed = damage.from_position != UINT64_MAX;
        json_t *object = json_pack(
            "{s:o, s:o, s:s?, s:o, s:o, s:o, s:s}", "from_position",
            placed ? json_integer((json_int_t)damage.from_position) : json_null(), "to_position",
            placed ? json_integer((json_int_t)damage.to_position) : json_null(), "topic",
            damage.topic[0] != '\0' ? damage.topic : NULL, "queue",
            queue ? json_integer(damage.queue) : json_null(), "from_offset",
            queue ? json_integer((json_int_t)damage.from_offset) : json_null(), "to_offset",
            queue ? json_integer((json_int_t)damage.to_offset) : json_null(), "reason",
            damage.reason);
        (void)json_array_append_new(list, object);
    }
}

static json_t *report_lines_array(const struct commitlog_report *report)
{
    json_t *list = json_array();
    const char *line;
    for (uint32_t i = 0; (line = commitlog_report_line(report, i)) != NULL; i++) {
        (void)json_array_append_new(list, json_string(line));
    }
    return list;
}

void report_print_json(struct cli *cli, const struct commitlog_report *report, int32_t result,
                       bool verify)
{
    assert(cli != NULL && report != NULL);
    struct commitlog_recovery r = {.struct_bytes = sizeof(r)};
    if (commitlog_report_recovery(report, &r) != COMMITLOG_OK) {
        return;
    }
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"epoch", r.epoch},
        {"first", r.first},
        {"witness", r.witness},
        {"end", r.end},
        {"bytes_scanned", r.bytes_scanned},
        {"records_scanned", r.records_scanned},
        {"bytes_cut", r.bytes_cut},
        {"records_cut", r.records_cut},
        {"bytes_rewritten", r.bytes_rewritten},
        {"records_from_stage", r.records_from_stage},
        {"holes_made", r.holes_made},
        {"views_rebuilt", r.views_rebuilt},
        {"quarantined", r.quarantined},
        {"duration_ns", r.duration_ns},
        {"damaged_ranges", r.damaged_ranges},
    };
    json_t *object = json_pack("{s:s, s:s, s:b, s:b}", "result", commitlog_error_name(result),
                               "tail", report_tail(r.tail), "clean_close", r.clean_close != 0,
                               "same_boot", r.same_boot != 0);
    int bad = object == NULL ? -1 : 0;
    for (size_t i = 0; bad == 0 && i < sizeof(fields) / sizeof(fields[0]); i++) {
        bad =
            json_object_set_new(object, fields[i].name, json_integer((json_int_t)fields[i].value));
    }
    if (bad == 0) {
        bad |= json_object_set_new(object, "damage", report_damage_array(report));
        bad |= json_object_set_new(object, verify ? "notes" : "plan", report_lines_array(report));
    }
    if (bad != 0) {
        json_decref(object);
        object = NULL;
    }
    (void)record_print_value(&cli->out, object);
}
