/* cursor.c -- opening, fetching and waiting; what the kinds have in common. */
#include "store/cursor.h"
#include "store/reference.h"

#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "format/attributes.h"

/* Passing over so many records takes less than a millisecond. */
#define CURSOR_PASSED_CHECK 1024u

/* One piece of memory. */
struct cursor_whole {
    struct commitlog_cursor cursor;
    union {
        struct clg_lookup_entry entries[CLG_CURSOR_ENTRIES];
        struct clg_merge_entry merged[CLG_CURSOR_ENTRIES];
        uint64_t positions[CLG_CURSOR_ENTRIES];
    } scratch;
};

void clg_cursor_begin(struct commitlog_cursor *cursor, struct commitlog_store *store,
                      const struct clg_cursor_kind *kind)
{
    cursor->store = store;
    cursor->kind = kind;
    clg_reader_init(&cursor->reader, store->os,
                    clg_option(&store->options, COMMITLOG_OPT_BORROW) == 0,
                    clg_option(&store->options, COMMITLOG_OPT_VERIFY_READS) != 0);
}

static int cursor_create(struct commitlog_store *store, const struct clg_cursor_kind *kind,
                         struct commitlog_cursor **out)
{
    struct cursor_whole *whole = store->os->alloc(store->os, sizeof(*whole));
    if (whole == NULL) {
        return COMMITLOG_ENOMEM;
    }
    clg_store_ref(store);
    clg_cursor_begin(&whole->cursor, store, kind);
    whole->cursor.scratch_entries = CLG_CURSOR_ENTRIES;
    if (kind == &clg_cursor_key) {
        whole->cursor.scratch.positions = whole->scratch.positions;
    } else if (kind == &clg_cursor_topic) {
        whole->cursor.scratch.merged = whole->scratch.merged;
    } else {
        whole->cursor.scratch.entries = whole->scratch.entries;
    }
    *out = &whole->cursor;
    return COMMITLOG_OK;
}

void commitlog_cursor_close(struct commitlog_cursor *cursor)
{
    if (cursor == NULL || *(volatile const uint32_t *)cursor->store->fork_page == 0) {
        return;
    }
    struct commitlog_store *store = cursor->store;
    const struct commitlog_os *os = store->os;
    clg_reader_end(&cursor->reader);
    clg_merge_close(cursor->merge);
    os->free(os, cursor->tag_bytes);
    os->free(os, cursor->tags);
    os->free(os, cursor->key);
    clg_filter_unref(cursor->filter);
    if (!CLG_PLANTED(CURSOR_LEAKS)) {
        os->free(os, cursor);
    }
    clg_store_unref(store);
}

/* What was being done, in front of the cause if one was told. */
static int cursor_fail(struct commitlog_error *err, int rc, uint64_t position, const char *what)
{
    if (err->code != rc) {
        return clg_fail(err, rc, 0, position, "%s", what);
    }
    clg_wrap(err, "%s", what);
    return rc;
}

static int cursor_seek(struct commitlog_cursor *cursor, uint32_t from, uint64_t value,
                       struct commitlog_error *err)
{
    struct commitlog_store *store = cursor->store;
    int rc = COMMITLOG_OK;
    struct clg_follow_reads reads = {0};
    bool again;
    do {
        struct clg_core *core = clg_store_core(store);
        uint64_t visible = 0;
        rc = clg_store_fold_now(store, &core, &visible, err);
        again = false;
        if (rc == COMMITLOG_OK) {
            rc = clg_cursor_aim_anew(cursor, core);
            if (cursor->generation != core->generation) {
                clg_reader_begin(&cursor->reader); /* pins of the core before, as in a fetch */
            }
            rc = rc == COMMITLOG_OK ? cursor->kind->seek(cursor, core, visible, from, value) : rc;
            if (rc == COMMITLOG_OK) { /* else it stands where it stood */
                cursor->has_last = false;
                cursor->pending = 0;
                cursor->generation = core->generation;
                clg_cursor_stand(cursor, core, visible);
            }
            again = clg_follow_again(store, core->generation, &reads, &rc);
        }
        clg_core_unref(core);
    } while (again);
    return rc;
}

int32_t commitlog_cursor_open(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                              uint32_t from, uint64_t value, struct commitlog_cursor **out_cursor,
                              struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out_cursor == NULL) {
        return clg_fail(err, rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "open a cursor");
    }
    struct commitlog_cursor *cursor = NULL;
    rc = cursor_create(store, queue == COMMITLOG_QUEUE_ALL ? &clg_cursor_topic : &clg_cursor_queue,
                       &cursor);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "open a cursor");
    }
    struct commitlog_error own;
    clg_error_clear(&own);
    rc = clg_cursor_aim(cursor, topic, queue, &own);
    if (rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EINVAL) {
        rc = clg_fail(&own, rc, 0, CLG_NO_POSITION, "no topic has number %u, or it has no queue %u",
                      topic, queue);
    } else {
        rc = rc == COMMITLOG_OK ? cursor_seek(cursor, from, value, &own) : rc;
        rc = rc == COMMITLOG_OK ? rc : cursor_fail(&own, rc, CLG_NO_POSITION, "place a cursor");
    }
    if (rc != COMMITLOG_OK) {
        commitlog_cursor_close(cursor);
        return clg_error_give(err, rc, &own);
    }
    *out_cursor = cursor;
    return COMMITLOG_OK;
}

int32_t commitlog_cursor_open_key(struct commitlog_store *store, uint32_t topic, const void *key,
                                  size_t key_bytes, int64_t since_ns, int64_t until_ns,
                                  struct commitlog_cursor **out_cursor, struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc == COMMITLOG_OK && (out_cursor == NULL || key == NULL || key_bytes == 0)) {
        rc = COMMITLOG_EINVAL;
    } else if (rc == COMMITLOG_OK && key_bytes > CLG_KEY_MAX) {
        rc = COMMITLOG_ETOOBIG;
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "query: a key has 1 to %u bytes", CLG_KEY_MAX);
    }
    struct clg_core *core = clg_store_core(store);
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error own;
    clg_error_clear(&own);
    if (store->read_only && clg_registry_topic(&core->registry, topic) == NULL) {
        uint64_t visible = 0;
        rc = clg_store_fold_now(store, &core, &visible, &own);
    }
    const struct clg_topic *found = clg_registry_topic(&core->registry, topic);
    rc = rc != COMMITLOG_OK ? rc
         : found == NULL    ? clg_fail(&own, COMMITLOG_ENOTFOUND, 0, CLG_NO_POSITION,
                                       "no topic has number %u", topic)
                            : cursor_create(store, &clg_cursor_key, &cursor);
    if (rc == COMMITLOG_OK) {
        cursor->key = store->os->alloc(store->os, key_bytes);
        rc = cursor->key == NULL ? COMMITLOG_ENOMEM : COMMITLOG_OK;
    }
    if (rc == COMMITLOG_OK) {
        memcpy(cursor->key, key, key_bytes);
        cursor->key_bytes = key_bytes;
        cursor->since_ns = since_ns;
        cursor->until_ns = until_ns;
        rc = clg_cursor_aim_at(cursor, core, topic, COMMITLOG_QUEUE_ALL);
    }
    if (rc == COMMITLOG_OK) {
        cursor->generation = core->generation;
        rc = cursor_seek(cursor, COMMITLOG_FROM_END, 0, &own);
    }
    if (rc != COMMITLOG_OK) {
        commitlog_cursor_close(cursor);
        rc = cursor_fail(&own, rc, CLG_NO_POSITION, "query a topic");
    } else {
        *out_cursor = cursor;
    }
    clg_core_unref(core);
    return clg_error_give(err, rc, &own);
}

int32_t commitlog_cursor_open_log(struct commitlog_store *store, uint64_t position,
                                  struct commitlog_cursor **out_cursor, struct commitlog_error *err)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out_cursor == NULL) {
        return clg_fail(err, rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL, 0, position,
                        "open a cursor over the log");
    }
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error own;
    clg_error_clear(&own);
    rc = cursor_create(store, &clg_cursor_log, &cursor);
    if (rc == COMMITLOG_OK) {
        rc = cursor_seek(cursor, position == 0 ? COMMITLOG_FROM_FIRST : COMMITLOG_FROM_OFFSET,
                         position, &own);
    }
    if (rc != COMMITLOG_OK) {
        commitlog_cursor_close(cursor);
        return clg_error_give(err, cursor_fail(&own, rc, position, "open a cursor over the log"),
                              &own);
    }
    *out_cursor = cursor;
    return COMMITLOG_OK;
}

int32_t commitlog_cursor_set_tags(struct commitlog_cursor *cursor,
                                  const struct commitlog_slice *tags, uint32_t count)
{
    int rc = cursor == NULL || (count > 0 && tags == NULL) ? COMMITLOG_EINVAL
                                                           : clg_store_enter(cursor->store);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    const struct commitlog_os *os = cursor->store->os;
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (tags[i].bytes == 0 || tags[i].data == NULL) {
            return COMMITLOG_EINVAL;
        }
        if (tags[i].bytes > CLG_TAG_MAX) {
            return COMMITLOG_ETOOBIG;
        }
        bytes += tags[i].bytes;
    }
    uint8_t *copy = os->alloc(os, bytes + 1);
    struct clg_cursor_tag *list = clg_os_alloc_array(os, (size_t)count + 1, sizeof(*list));
    if (copy == NULL || list == NULL) {
        os->free(os, copy);
        os->free(os, list);
        return COMMITLOG_ENOMEM;
    }
    os->free(os, cursor->tag_bytes);
    os->free(os, cursor->tags);
    cursor->tag_bytes = copy;
    cursor->tags = list;
    cursor->tag_count = count;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(copy, tags[i].data, tags[i].bytes);
        list[i] = (struct clg_cursor_tag){clg_tag_hash(tags[i].data, tags[i].bytes),
                                          (uint32_t)tags[i].bytes, copy};
        copy += tags[i].bytes;
    }
    return COMMITLOG_OK;
}

int32_t commitlog_cursor_set_filter(struct commitlog_cursor *cursor,
                                    struct commitlog_filter *filter)
{
    int rc = cursor == NULL ? COMMITLOG_EINVAL : clg_store_enter(cursor->store);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (filter != NULL) {
        clg_filter_ref(filter); /* before the other one goes: they may be the same */
    }
    clg_filter_unref(cursor->filter);
    cursor->filter = filter;
    return COMMITLOG_OK;
}

bool clg_cursor_wants_hash(const struct commitlog_cursor *cursor, uint32_t tag_hash)
{
    if (cursor->tag_count == 0) {
        return true;
    }
    for (uint32_t i = 0; i < cursor->tag_count; i++) {
        if (cursor->tags[i].hash == tag_hash) {
            return true;
        }
    }
    return false;
}

int32_t commitlog_cursor_set_pass_limit(struct commitlog_cursor *cursor, uint32_t messages)
{
    int rc = cursor == NULL ? COMMITLOG_EINVAL : clg_store_enter(cursor->store);
    if (rc == COMMITLOG_OK) {
        cursor->pass_limit = messages;
    }
    return rc;
}

static bool cursor_has_passed_enough(const struct commitlog_cursor *cursor,
                                     const struct clg_fetch *fetch)
{
    return cursor->pass_limit != 0 && fetch->passed >= cursor->pass_limit;
}

int clg_cursor_pass(const struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    if (cursor_has_passed_enough(cursor, fetch)) {
        return COMMITLOG_EAGAIN;
    }
    fetch->passed++;
    bool ends = fetch->passed % CURSOR_PASSED_CHECK == 0 &&
                clg_log_is_interrupted(fetch->core->log, fetch->until);
    return ends ? COMMITLOG_EINTERRUPTED : COMMITLOG_OK;
}

static int cursor_check(const struct clg_record_view *view, uint32_t queue, uint64_t queue_offset,
                        const struct clg_reader_expected *expected)
{
    if (expected == NULL) {
        return COMMITLOG_OK;
    }
    bool same = view->header.header_check == expected->header_check &&
                view->header.queue_number == queue && view->header.queue_offset == queue_offset;
    return same ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
}

int clg_cursor_take(struct commitlog_cursor *cursor, struct clg_fetch *fetch, uint64_t position,
                    uint32_t queue, uint64_t queue_offset,
                    const struct clg_reader_expected *expected)
{
    CLG_ASSERT(fetch->count < fetch->max);
    struct clg_record_view view;
    struct commitlog_error why;
    int wanted = 0;
    if (cursor_has_passed_enough(cursor, fetch)) {
        return COMMITLOG_EAGAIN; /* before the next one is read, which may be passed over, too */
    }
    clg_error_clear(&why);
    int rc = clg_reader_get(&cursor->reader, fetch->core->log, position, fetch->visible, expected,
                            &view, &why);
    if (rc == COMMITLOG_OK && view.header.epoch < cursor->min_epoch) {
        rc = clg_fail(&why, COMMITLOG_EDAMAGED, 0, position,
                      "a record of an older session than the one before it");
    }
    if (rc == COMMITLOG_OK) {
        rc = cursor_check(&view, queue, queue_offset, expected);
        if (rc != COMMITLOG_OK) {
            (void)clg_fail(&why, rc, 0, position, "record and queue entry disagree");
        }
    }
    struct clg_reference reference = {0};
    if (rc == COMMITLOG_OK && view.header.kind == CLG_KIND_REFERENCE &&
        cursor->kind != &clg_cursor_log) {
        rc = clg_store_resolve(&cursor->reader, fetch->core, fetch->visible, &view, &reference,
                               &why);
    }
    if (rc == COMMITLOG_OK) {
        wanted = clg_cursor_fill(cursor, fetch, &view, &reference);
        rc = wanted < 0 ? wanted : COMMITLOG_OK;
        if (rc == COMMITLOG_EDAMAGED) {
            (void)clg_fail(&why, rc, 0, position, "attributes contradict themselves");
        }
    }
    if (rc == COMMITLOG_EDAMAGED && reference.position != 0) {
        clg_store_damage(cursor->store, fetch->core, reference.position, 0, CLG_QUEUE_NONE,
                         why.message);
    } else if (rc == COMMITLOG_EDAMAGED) {
        clg_store_damage(cursor->store, fetch->core, position, queue_offset, queue, why.message);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (wanted == 0) {
        clg_reader_drop(&cursor->reader);
        fetch->left_next = view.next_position;
        fetch->left_epoch = view.header.epoch;
        rc = clg_cursor_pass(cursor, fetch);
        return rc != COMMITLOG_OK ? rc : COMMITLOG_ENOTFOUND;
    }
    if (cursor->copy != NULL) {
        clg_reader_drop(&cursor->reader); /* nothing points there any more */
    } else {
        clg_reader_keep(&cursor->reader);
    }
    cursor->has_last = true;
    cursor->last_position = position;
    cursor->last_check = view.header.header_check;
    fetch->count++;
    fetch->bytes += view.body_bytes;
    return COMMITLOG_OK;
}

/* COMMITLOG_EEND at a core that leaves something unrecovered means COMMITLOG_EUNRECOVERED: the
 * caller first looks for the next writer. */
static int cursor_read_once(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    struct commitlog_store *store = cursor->store;
    uint64_t generation;
    struct clg_follow_reads reads = {0};
    bool again;
    bool looked;
    int rc;
    do {
        looked = false;
        fetch->bound = cursor->next;
        rc = clg_store_fold(store, &fetch->core, &fetch->visible, NULL);
        generation = fetch->core->generation;
        if (rc != COMMITLOG_OK) {
            break;
        }
        rc = clg_cursor_check_core(cursor, fetch);
        if (rc == COMMITLOG_OK) {
            looked = true;
            rc = cursor->kind->read(cursor, fetch);
        }
        /* A read may exchange the core too: nothing counts of one that was not checked. */
        again = fetch->core->generation != generation;
        if (fetch->count == 0 && !again && clg_follow_again(store, generation, &reads, &rc)) {
            clg_core_unref(fetch->core);
            fetch->core = clg_store_core(store);
            again = true;
        }
    } while (fetch->count == 0 && again);
    cursor->unsure += fetch->is_unsure;
    fetch->is_unsure = false;
    if (rc == COMMITLOG_EBEYOND && fetch->core->unrecovered_bytes > 0) {
        rc = COMMITLOG_EEND; /* it was there while its writer lived */
    }
    if (fetch->bytes > 0) {
        clg_count(store, CLG_COUNT_READ_BYTES, fetch->bytes);
        fetch->bytes = 0;
    }
    if (fetch->count > 0) {
        clg_count(store, CLG_COUNT_READS, fetch->count);
        if (cursor->behind_end != 0 && cursor->next >= cursor->behind_end) {
            cursor->behind_end = 0; /* the queue went on */
        }
        return COMMITLOG_OK; /* what came behind them is said by the next call */
    }
    /* Of an error before, of the log's end, say, what it stands at is not to blame. */
    if (looked && cursor->kind->pass != NULL &&
        (rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EIO || rc == COMMITLOG_EUNSUPPORTED)) {
        cursor->kind->pass(cursor);
    }
    return rc == COMMITLOG_OK ? COMMITLOG_EEND : rc;
}

int32_t commitlog_cursor_fetch(struct commitlog_cursor *cursor, struct commitlog_message *messages,
                               uint32_t max, int32_t timeout_ms, uint32_t *out_count,
                               uint64_t *out_bound)
{
    if (cursor == NULL || messages == NULL || out_count == NULL || max == 0) {
        return COMMITLOG_EINVAL;
    }
    struct commitlog_store *store = cursor->store;
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_fetch fetch = {.messages = messages,
                              .max = max < CLG_CURSOR_FETCH_MAX ? max : CLG_CURSOR_FETCH_MAX,
                              .until = clg_store_until(store, timeout_ms)};
    uint32_t looks = 0;
    bool is_late = false;
    clg_reader_begin(&cursor->reader);
    for (;;) {
        fetch.core = clg_store_core(store);
        rc = cursor_read_once(cursor, &fetch);
        uint64_t visible = fetch.visible;
        bool unrecovered = fetch.core->unrecovered_bytes > 0;
        uint64_t generation = fetch.core->generation;
        bool is_interrupted = clg_log_is_interrupted(fetch.core->log, fetch.until);
        clg_core_unref(fetch.core);
        /* Of a writer that has failed only what is durable is shown: perhaps less than was read. */
        if ((rc == COMMITLOG_EEND || rc == COMMITLOG_EBEYOND) && store->read_only) {
            bool replaced = false;
            int polled = clg_follow_poll(store, generation, &replaced, NULL);
            rc = polled != COMMITLOG_OK ? polled : rc;
            if (replaced && (looks++ == 0 || clg_os_left(store->os, fetch.until.mono_ns) > 0)) {
                continue; /* another writer has come: at its core there may be more */
            }
        }
        if (rc != COMMITLOG_EEND || timeout_ms == 0 || cursor->kind == &clg_cursor_key) {
            rc = rc == COMMITLOG_EEND && unrecovered ? COMMITLOG_EUNRECOVERED : rc;
            break;
        }
        /* Where others go on publishing there is always something to look at again. */
        int waited = is_interrupted ? COMMITLOG_EINTERRUPTED
                     : is_late      ? COMMITLOG_ETIMEDOUT
                                    : clg_store_wait(store, visible, fetch.until);
        is_late = clg_os_left(store->os, fetch.until.mono_ns) == 0;
        if (waited != COMMITLOG_OK) {
            rc = waited != COMMITLOG_ETIMEDOUT ? waited
                 : unrecovered                 ? COMMITLOG_EUNRECOVERED
                                               : COMMITLOG_EEND;
            break;
        }
    }
    if (rc == COMMITLOG_OK) {
        *out_count = fetch.count;
    } else if (out_bound != NULL) {
        *out_bound = fetch.bound;
    }
    return rc;
}

uint64_t commitlog_cursor_tell(const struct commitlog_cursor *cursor)
{
    return cursor != NULL ? cursor->next : 0;
}

int32_t commitlog_cursor_seek(struct commitlog_cursor *cursor, uint32_t from, uint64_t value)
{
    if (cursor == NULL) {
        return COMMITLOG_EINVAL;
    }
    int rc = clg_store_enter(cursor->store);
    return rc == COMMITLOG_OK ? cursor_seek(cursor, from, value, NULL) : rc;
}
