/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bad_store.c -- a store of which a part cannot be read: makes it, says where on the disk a part of
 * it lies, and holds what the library answers to what was appended.
 *
 *     bad_store make  STORE BOOK SEED closed|killed mixed|small
 *     bad_store place STORE BOOK SEED PART     prints "OFFSET BYTES FROM TO FILE": a range of the
 *             disk in one block of the file system, and the positions of the log in that block (0 0
 *             where it is none of the log)
 *     bad_store check STORE BOOK RULE ACCESS BORROW FROM TO
 *
 * PART: body (in the middle of one), header (of a record, in a sealed segment), active (of one in
 * the segment that is appended to), head0, head1, heads (the copies of a segment's header, or
 * both), footer, behind (the end of the log), view (the first block of a view file), state (of the
 * file of small state), queue, key (behind the first block of such a view file; there is one if the
 * bodies are small), slot0, slot1, slots (of CHECKPOINT, or both), lock.
 * ACCESS: read; write; verify (nothing else than commitlog_verify); scrub (write, and upkeep finds
 * what is wrong before anybody reads).
 * RULE: each way to read gives all records that do not touch [FROM, TO), and
 *     whole    there are no others, and nothing is said to be wrong
 *     around   the others are named, by each way or by the list of damage
 *     holes    the others are gone, and the store is sound
 *     refused  none of this: the store does not open, and says why
 * A writer appends one record more, which is in BOOK then.
 *
 * Owns: the store while it runs; BOOK, what was appended, on another disk. One thread.
 * Exit status: 0 as the rule says, 1 not so.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../damage/survey.h"
#include "../support/dirs.h"

typedef unsigned long long ull;

enum {
    BLOCK = 4096,
    SECTOR = 512,
    KB = 1024,
    HEAD_MAX = 512, /* of a record: header and attributes */
    TRIES = 100000,
    BATCH_MAX = 5,
    SCRUB_BYTES_PER_S = 1 << 28,
    WAIT_MS = 10000
};

static const char group_name[] = "readers";

/* All that was appended, as one file. */
struct record_of_it {
    struct book book;
    struct commitlog_receipt group; /* of the last offsets that were committed, and these */
    uint64_t consumed[BOOK_TOPICS][BOOK_QUEUES];
    uint64_t segment_bytes;
    uint64_t active; /* base of the segment that was appended to */
    uint64_t end;    /* of the log */
};

static struct record_of_it it;
static struct survey survey;

static void option_set(struct commitlog_options *options, int32_t id, uint64_t value)
{
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_options_set(options, id, value, &err), &err);
}

static void it_load(const char *path)
{
    struct file_bytes file = file_read(path);
    CHECK(file.size == sizeof it);
    memcpy(&it, file.data, sizeof it);
    file_free(&file);
}

/* ---- make --------------------------------------------------------------------------------------
 */

static uint32_t body_bytes(struct rng *rng, bool small)
{
    uint64_t kind = small ? 0 : rng_below(rng, 100);
    return (uint32_t)(small       ? rng_below(rng, 260)
                      : kind < 70 ? rng_below(rng, 600)
                      : kind < 92 ? rng_below(rng, 3000)
                                  : rng_between(rng, 4 * BLOCK, 7 * BLOCK));
}

static uint32_t level_draw(struct rng *rng)
{
    return rng_chance(rng, 1, 4) ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
}

static void put(struct commitlog_store *store, const uint32_t *numbers, struct rng *rng,
                uint32_t count, bool small)
{
    struct book_draft drafts[BATCH_MAX];
    struct commitlog_record records[BATCH_MAX];
    struct commitlog_receipt receipts[BATCH_MAX];
    struct commitlog_error err = {.message = ""};
    uint32_t level = level_draw(rng);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t topic = (uint32_t)rng_below(rng, BOOK_TOPICS);
        book_draw(&it.book, rng, topic, numbers[topic], body_bytes(rng, small), &drafts[i],
                  &records[i]);
        records[i].level = level;
    }
    CHECK_OK(count == 1 ? commitlog_append_record(store, records, WAIT_MS, receipts, &err)
                        : commitlog_append_batch(store, records, count, WAIT_MS, receipts, &err),
             &err);
    for (uint32_t i = 0; i < count; i++)
        book_store(&it.book, &drafts[i], &receipts[i]);
    if (count > 1)
        book_batch(&it.book, count);
    book_reached(&it.book, receipts[count - 1].end_position, receipts[count - 1].level);
}

static uint32_t offsets_of(const uint32_t *numbers, struct commitlog_group_offset *out)
{
    uint32_t count = 0;
    for (uint32_t topic = 0; topic < BOOK_TOPICS; topic++)
        for (uint32_t queue = 0; queue < book_topic_queues(topic); queue++)
            out[count++] =
                (struct commitlog_group_offset){numbers[topic], queue, it.consumed[topic][queue]};
    return count;
}

static void commit(struct commitlog_store *store, const uint32_t *numbers)
{
    struct commitlog_group_offset offsets[BOOK_TOPICS * BOOK_QUEUES];
    uint32_t count = 0;
    struct commitlog_group *group = NULL;
    struct commitlog_error err = {.message = ""};
    memcpy(it.consumed, it.book.next, sizeof it.consumed);
    count = offsets_of(numbers, offsets);
    CHECK_OK(commitlog_group_open(store, group_name, strlen(group_name), COMMITLOG_GROUP_CREATE,
                                  &group, &err),
             &err);
    CHECK_OK(commitlog_group_commit(group, 0, offsets, count, COMMITLOG_LEVEL_DURABLE, WAIT_MS,
                                    &it.group, &err),
             &err);
    commitlog_group_close(group);
    book_reached(&it.book, it.group.end_position, COMMITLOG_LEVEL_DURABLE);
}

static void topics_open(struct commitlog_store *store, bool create, uint32_t *numbers)
{
    struct commitlog_error err = {.message = ""};
    for (uint32_t t = 0; t < BOOK_TOPICS; t++) {
        size_t bytes = 0;
        const char *name = book_topic_name(t, &bytes);
        CHECK_OK(commitlog_topic_open(store, name, bytes, create ? book_topic_queues(t) : 0,
                                      &numbers[t], &err),
                 &err);
    }
}

static void upkeep(struct commitlog_store *store)
{
    uint32_t wait_ms = 0;
    for (uint32_t i = 0; i < 20; i++)
        CHECK_RC(commitlog_step(store, 2000, &wait_ms), COMMITLOG_OK);
}

static struct commitlog_store *store_make(const char *path, struct rng *rng)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    option_set(options, COMMITLOG_OPT_SEGMENT_BYTES, it.segment_bytes);
    option_set(options, COMMITLOG_OPT_THREAD, 0);
    option_set(options, COMMITLOG_OPT_ENGINE, rng_below(rng, 2));
    option_set(options, COMMITLOG_OPT_FLUSH, rng_below(rng, 3));
    option_set(options, COMMITLOG_OPT_PREWRITE,
               COMMITLOG_PREWRITE_YES); /* all of it is somewhere */
    CHECK_OK(commitlog_open(path, options, &store, &err), &err);
    commitlog_options_free(options);
    return store;
}

static int make(const char *path, const char *book_path, uint64_t seed, bool close, bool small)
{
    const uint64_t full = small ? 1 : 4;
    uint32_t numbers[BOOK_TOPICS];
    struct commitlog_positions at = {.struct_bytes = sizeof at};
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    struct rng rng;
    rng_begin(&rng, seed);
    it.segment_bytes = (small ? 176 : 128) * KB;
    store = store_make(path, &rng);
    book_begin(&it.book);
    topics_open(store, true, numbers);
    while (at.published < full * it.segment_bytes || at.published % it.segment_bytes < 40 * KB ||
           at.published % it.segment_bytes > 100 * KB) {
        put(store, numbers, &rng,
            rng_chance(&rng, 1, 5) ? (uint32_t)rng_between(&rng, 2, BATCH_MAX) : 1, small);
        if (rng_chance(&rng, 1, 40))
            commit(store, numbers);
        if (rng_chance(&rng, 1, 10))
            upkeep(store);
        CHECK_RC(commitlog_positions_get(store, &at), COMMITLOG_OK);
    }
    commit(store, numbers);
    for (uint32_t i = 0; i < 8; i++) /* what witnesses the rest */
        put(store, numbers, &rng, 1, true);
    upkeep(store);
    CHECK_OK(commitlog_sync(store, UINT64_MAX, WAIT_MS, &err), &err);
    CHECK_RC(commitlog_positions_get(store, &at), COMMITLOG_OK);
    it.active = at.published / it.segment_bytes * it.segment_bytes;
    it.end = at.published;
    file_write(book_path, &it, sizeof it);
    printf("%u records up to %llu\n", it.book.count, (ull)at.published);
    fflush(stdout);
    if (!close)
        raise(SIGKILL);
    CHECK_OK(commitlog_close(store, &err), &err);
    return 0;
}

/* ---- place -------------------------------------------------------------------------------------
 */

/* Where on the disk a byte of a file is. */
static uint64_t disk_offset(const char *path, uint64_t at)
{
    uint64_t room[(sizeof(struct fiemap) + sizeof(struct fiemap_extent)) / sizeof(uint64_t)] = {0};
    struct fiemap *map = (struct fiemap *)room;
    const struct fiemap_extent *extent = &map->fm_extents[0];
    const uint32_t elsewhere = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
                               FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_DATA_INLINE |
                               FIEMAP_EXTENT_UNWRITTEN;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECKF(fd >= 0, "%s", path);
    map->fm_start = at;
    map->fm_length = 1;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = 1;
    CHECKF(ioctl(fd, FS_IOC_FIEMAP, map) == 0, "FIEMAP: %s", path);
    close(fd);
    CHECKF(map->fm_mapped_extents == 1 && (extent->fe_flags & elsewhere) == 0,
           "%s: %llu is not on the disk", path, (ull)at);
    return extent->fe_physical + (at - extent->fe_logical);
}

/* A block in the middle of the body of this record, or under its header; 0: it has none. */
static uint64_t block_of(const struct book_item *item, struct rng *rng, const char *part)
{
    uint64_t first = (item->position + HEAD_MAX + BLOCK - 1) / BLOCK;
    uint64_t end = item->end / BLOCK;
    if (strcmp(part, "active") == 0 ? item->position < it.active : item->end > it.active)
        return 0;
    if (strcmp(part, "body") != 0)
        return item->position / BLOCK * BLOCK;
    return first < end ? rng_between(rng, first, end - 1) * BLOCK : 0;
}

static uint64_t record_block(struct rng *rng, const char *part)
{
    uint64_t proof = 0;
    for (uint32_t i = 0; i < it.book.count; i++)
        proof = it.book.items[i].witness > proof ? it.book.items[i].witness : proof;
    for (uint32_t i = 0; i < TRIES; i++) {
        const struct book_item *item = &it.book.items[rng_below(rng, it.book.count)];
        uint64_t block = block_of(item, rng, part);
        /* What nothing behind it proves to have been durable may be taken for a torn tail. */
        if (block != 0 && block + BLOCK <= proof)
            return block;
    }
    CHECKF(false, "no place: %s", part);
    return 0;
}

struct spot {
    char path[DIRS_PATH_MAX];
    uint64_t at; /* in the file; whole blocks */
    uint64_t bytes;
    uint64_t from; /* in the log */
};

/* The first block of the file, or one behind it. */
static void spot_of_view(struct spot *out, const char *store, struct rng *rng, const char *suffix,
                         bool behind)
{
    char directory[DIRS_PATH_MAX];
    struct name_list list;
    path_join(directory, store, "view");
    list = dirs_list(directory, suffix);
    CHECKF(list.count > 0, "no %s", suffix);
    path_join(out->path, directory, list.names[rng_below(rng, list.count)]);
    names_free(&list);
    if (behind) {
        uint64_t blocks = (file_size(out->path) + BLOCK - 1) / BLOCK;
        CHECKF(blocks > 1, "%s is small", out->path);
        out->at = rng_between(rng, 1, blocks - 1) * BLOCK;
    }
}

static void spot_of_segment(struct spot *out, const char *store, uint64_t position)
{
    char name[64];
    out->at = position % it.segment_bytes;
    snprintf(name, sizeof name, "log/%020llu.log", (ull)(position - out->at));
    path_join(out->path, store, name);
}

static void spot_find(struct spot *out, const char *store, struct rng *rng, const char *part)
{
    uint64_t sealed = rng_below(rng, it.active / it.segment_bytes) * it.segment_bytes;
    size_t last = strlen(part) - 1;
    *out = (struct spot){.bytes = part[last] == 's' ? 2 * BLOCK : BLOCK};
    if (strcmp(part, "queue") == 0 || strcmp(part, "key") == 0) {
        spot_of_view(out, store, rng, part[0] == 'q' ? ".cq" : ".key", true);
    } else if (strcmp(part, "view") == 0) {
        spot_of_view(out, store, rng, rng_chance(rng, 1, 2) ? ".cq" : ".key", false);
    } else if (strcmp(part, "state") == 0) {
        spot_of_view(out, store, rng, ".state", false);
    } else if (strcmp(part, "body") == 0 || strcmp(part, "header") == 0 ||
               strcmp(part, "active") == 0) {
        out->from = record_block(rng, part);
        spot_of_segment(out, store, out->from);
    } else if (strcmp(part, "behind") == 0) {
        spot_of_segment(out, store, (it.end / BLOCK + rng_between(rng, 1, 4)) * BLOCK);
    } else if (strncmp(part, "head", 4) == 0) {
        spot_of_segment(out, store, sealed + (part[last] == '1' ? BLOCK : 0));
    } else if (strcmp(part, "footer") == 0) {
        spot_of_segment(out, store, sealed + it.segment_bytes - BLOCK);
    } else if (strncmp(part, "slot", 4) == 0) {
        path_join(out->path, store, "CHECKPOINT");
        out->at = part[last] == '1' ? BLOCK : 0;
    } else if (strcmp(part, "lock") == 0) {
        path_join(out->path, store, "LOCK");
    }
    CHECKF(out->path[0] != '\0', "no part %s", part);
}

static int place(const char *store, const char *book_path, uint64_t seed, const char *part)
{
    struct spot spot;
    struct rng rng;
    uint64_t disk = 0;
    rng_begin(&rng, seed);
    it_load(book_path);
    spot_find(&spot, store, &rng, part);
    disk = disk_offset(spot.path, spot.at);
    CHECK(disk_offset(spot.path, spot.at + spot.bytes - BLOCK) == disk + spot.bytes - BLOCK);
    if (spot.bytes == BLOCK) { /* the file system reads blocks, the disk has sectors */
        uint64_t first = rng_below(&rng, BLOCK / SECTOR);
        disk += first * SECTOR;
        spot.bytes = rng_between(&rng, 1, BLOCK / SECTOR - first) * SECTOR;
    }
    printf("%llu %llu %llu %llu %s\n", (ull)disk, (ull)spot.bytes, (ull)spot.from,
           (ull)(spot.from == 0 ? 0 : spot.from + BLOCK), spot.path);
    return 0;
}

/* ---- check -------------------------------------------------------------------------------------
 */

struct range {
    uint64_t from;
    uint64_t to;
};

enum rule { RULE_WHOLE, RULE_AROUND, RULE_HOLES, RULE_REFUSED };

/* The writer died, and a reader is told that what follows is not proven yet. */
static bool unproven(uint32_t i, uint32_t way)
{
    return (survey.marks[way][i] & MARK_UNPROVEN) != 0;
}

static bool any_unproven(void)
{
    for (uint32_t i = 0; i < it.book.count; i++)
        if (unproven(i, WAY_LOG) || unproven(i, WAY_QUEUE))
            return true;
    return false;
}

static void check_item(uint32_t i, uint32_t way, enum rule rule, const struct range *bad)
{
    const struct book_item *item = &it.book.items[i];
    const char *name = survey_way_name(way);
    bool own = item->position < bad->to && item->end > bad->from;
    bool mate = item->hull_from < bad->to && item->hull_to > bad->from;
    bool seen = survey_seen(&survey, way, i);
    if (!survey_leads(way, item))
        return;
    if (rule == RULE_WHOLE || !mate) {
        CHECKF(seen || unproven(i, way), "%llu is sound and not given, by %s%s",
               (ull)item->position, name, survey_named(&survey, way, i) ? ", but named" : "");
        return;
    }
    /* What is in a hole, and can be read later, is found by its position. */
    CHECKF(!own || !seen || (rule == RULE_HOLES && way == WAY_GET), "%llu could be read, by %s",
           (ull)item->position, name);
    CHECKF(seen || rule != RULE_AROUND || survey_named(&survey, way, i),
           "%llu is not given, and nothing is said, by %s", (ull)item->position, name);
}

static void check_survey(struct commitlog_store *store, enum rule rule, const struct range *bad)
{
    uint64_t given = 0;
    survey_store(&it.book, store, SURVEY_EVERY_WAY, &survey);
    CHECKF(survey.wrong[0] == '\0', "%s", survey.wrong);
    for (uint32_t way = 0; way < SURVEY_WAYS; way++)
        for (uint32_t i = 0; i < it.book.count; i++)
            check_item(i, way, rule, bad);
    for (uint32_t i = 0; i < it.book.count; i++)
        given += survey_seen(&survey, WAY_QUEUE, i);
    CHECKF(rule != RULE_AROUND || survey.said > 0, "%s", "no read says that something is wrong");
    CHECKF(rule != RULE_WHOLE || survey.said + survey.ranges == 0,
           "%llu reads and %u ranges say that something is wrong", (ull)survey.said, survey.ranges);
    printf("appended=%u given=%llu said=%llu ranges=%u\n", it.book.count, (ull)given,
           (ull)survey.said, survey.ranges);
}

/* What was committed last is what there is, unless its record is lost. */
static void check_group(struct commitlog_store *store, enum rule rule, const struct range *bad)
{
    struct commitlog_group_offset offsets[BOOK_TOPICS * BOOK_QUEUES];
    struct commitlog_group_offset expected[BOOK_TOPICS * BOOK_QUEUES];
    struct commitlog_group *group = NULL;
    struct commitlog_error err = {.message = ""};
    uint32_t numbers[BOOK_TOPICS], count = 0;
    if (rule != RULE_WHOLE && it.group.position < bad->to && it.group.end_position > bad->from)
        return;
    topics_open(store, false, numbers);
    count = offsets_of(numbers, expected);
    memcpy(offsets, expected, sizeof offsets);
    CHECK_OK(commitlog_group_open(store, group_name, strlen(group_name), 0, &group, &err), &err);
    CHECK_OK(commitlog_group_fetch(group, offsets, count, &err), &err);
    commitlog_group_close(group);
    for (uint32_t i = 0; i < count; i++)
        CHECKF(offsets[i].offset == expected[i].offset, "offset %llu of the group, not %llu",
               (ull)offsets[i].offset, (ull)expected[i].offset);
}

/* Each range is of what cannot be read, and each record that touches that is in one. */
static void check_verify(const char *path, enum rule rule, const struct range *bad)
{
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    bool listed[BOOK_ITEMS] = {false};
    int32_t rc = commitlog_verify(path, NULL, &report, &err);
    for (uint32_t i = 0; commitlog_report_damage(report, i, &damage) == COMMITLOG_OK; i++) {
        printf("damage: [%llu, %llu): %s\n", (ull)damage.from_position, (ull)damage.to_position,
               damage.reason);
        if (strncmp(damage.reason, "view/", 5) != 0) /* which is of the whole segment */
            survey_list(&it.book, &damage, listed);
    }
    commitlog_report_free(report);
    if (rule != RULE_AROUND) {
        CHECK_OK(rc, &err);
        return;
    }
    CHECKF(rc == COMMITLOG_EDAMAGED && err.message[0] != '\0', "verify: %s: %s",
           commitlog_error_name(rc), err.message);
    for (uint32_t i = 0; i < it.book.count; i++) {
        const struct book_item *item = &it.book.items[i];
        bool own = item->position < bad->to && item->end > bad->from;
        bool mate = item->hull_from < bad->to && item->hull_to > bad->from;
        CHECKF(!own || listed[i], "verify does not name %llu", (ull)item->position);
        CHECKF(mate || !listed[i], "verify names %llu, which is sound", (ull)item->position);
    }
}

/* Upkeep finds what is wrong, and says so without any read. */
static void check_scrub(struct commitlog_store *store, const struct range *bad)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    int64_t until = clock_ms() + WAIT_MS;
    uint32_t wait_ms = 0;
    while (commitlog_damage_get(store, 0, &damage) != COMMITLOG_OK) {
        CHECKF(clock_ms() < until, "%s", "scrub finds nothing");
        CHECK_RC(commitlog_step(store, 2000, &wait_ms), COMMITLOG_OK);
    }
    CHECKF(damage.from_position < bad->to && damage.to_position > bad->from,
           "scrub names [%llu, %llu): %s", (ull)damage.from_position, (ull)damage.to_position,
           damage.reason);
}

/* One record more, as the next offset of its queue. */
static void write_more(struct commitlog_store *store, const char *book_path)
{
    uint32_t numbers[BOOK_TOPICS];
    struct rng rng;
    rng_begin(&rng, it.book.count);
    topics_open(store, false, numbers);
    for (uint32_t t = 0; t < BOOK_TOPICS; t++)
        for (uint32_t q = 0; q < book_topic_queues(t); q++) {
            struct commitlog_queue_info info = {.struct_bytes = sizeof info};
            CHECK_RC(commitlog_queue_info(store, numbers[t], q, &info), COMMITLOG_OK);
            it.book.next[t][q] = info.next_offset;
        }
    put(store, numbers, &rng, 1, true);
    file_write(book_path, &it, sizeof it);
}

static int check(const char *path, const char *book_path, enum rule rule, const char *access,
                 bool borrow, const struct range *bad)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    bool writes = strcmp(access, "write") == 0 || strcmp(access, "scrub") == 0;
    bool scrubs = strcmp(access, "scrub") == 0;
    int32_t rc = COMMITLOG_OK;
    it_load(book_path);
    if (strcmp(access, "verify") == 0) {
        check_verify(path, rule, bad);
        return 0;
    }
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    option_set(options, COMMITLOG_OPT_ACCESS, writes ? COMMITLOG_READ_WRITE : COMMITLOG_READ_ONLY);
    option_set(options, COMMITLOG_OPT_BORROW, borrow);
    option_set(options, COMMITLOG_OPT_THREAD, 0);
    option_set(options, COMMITLOG_OPT_SCRUB_BYTES_PER_S, scrubs ? SCRUB_BYTES_PER_S : 0);
    rc = commitlog_open(path, options, &store, &err);
    commitlog_options_free(options);
    if (rule == RULE_REFUSED) {
        printf("%s at %llu: %s\n", commitlog_error_name(rc), (ull)err.position, err.message);
        CHECKF(rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EIO, "%s", commitlog_error_name(rc));
        CHECKF(err.message[0] != '\0', "%s", "no words");
        return 0;
    }
    CHECK_OK(rc, &err);
    if (scrubs)
        check_scrub(store, bad);
    check_survey(store, rule, bad);
    if (!any_unproven())
        check_group(store, rule, bad);
    if (writes)
        write_more(store, book_path);
    CHECK_OK(commitlog_close(store, &err), &err);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const rules[] = {"whole", "around", "holes", "refused"};
    CHECKF(argc >= 6, "usage: %s make|place|check STORE BOOK ...", argv[0]);
    if (strcmp(argv[1], "check") != 0)
        prog_seed_set(strtoull(argv[4], NULL, 0));
    if (strcmp(argv[1], "make") == 0 && argc == 7)
        return make(argv[2], argv[3], strtoull(argv[4], NULL, 0), strcmp(argv[5], "closed") == 0,
                    strcmp(argv[6], "small") == 0);
    if (strcmp(argv[1], "place") == 0 && argc == 6)
        return place(argv[2], argv[3], strtoull(argv[4], NULL, 0), argv[5]);
    CHECKF(strcmp(argv[1], "check") == 0 && argc == 9, "usage: %s check ...", argv[0]);
    for (uint32_t rule = 0; rule < 4; rule++) {
        struct range bad = {strtoull(argv[7], NULL, 0), strtoull(argv[8], NULL, 0)};
        if (strcmp(argv[4], rules[rule]) == 0)
            return check(argv[2], argv[3], (enum rule)rule, argv[5], strcmp(argv[6], "1") == 0,
                         &bad);
    }
    CHECKF(false, "no rule %s", argv[4]);
    return 1;
}
