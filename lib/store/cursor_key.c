/* cursor_key.c -- by key, newest first. The index gives candidates by hash; the record decides. */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/attributes.h"
#include "store/cursor.h"

static bool key_is_carried(const struct commitlog_cursor *cursor,
                           const struct commitlog_message *message)
{
    struct commitlog_slice key;
    for (uint32_t i = 0; commitlog_message_key(message, i, &key) == COMMITLOG_OK; i++) {
        if (key.bytes == cursor->key_bytes && memcmp(key.data, cursor->key, key.bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* The candidate is a message of this topic, in the time window, with exactly this key. */
static bool key_matches(const struct commitlog_cursor *cursor,
                        const struct commitlog_message *message)
{
    return message->topic == cursor->topic && message->store_time_ns >= cursor->since_ns &&
           message->store_time_ns <= cursor->until_ns && key_is_carried(cursor, message);
}

/* The end; but where the opening found damage, records with this key may be missing: said once. */
static int key_end(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    struct commitlog_damage damage;
    if (cursor->crossed != 0 || !clg_core_lacks_records(fetch->core) ||
        clg_damage_list_get(&fetch->core->opening_damage, 0, &damage) != COMMITLOG_OK ||
        damage.from_position == CLG_NO_POSITION) {
        return COMMITLOG_EEND;
    }
    cursor->crossed = fetch->count == 0 ? damage.to_position : 0;
    fetch->bound = clg_max_u64(damage.from_position, clg_log_first(fetch->core->log));
    return COMMITLOG_EDAMAGED;
}

/* Behind the candidate that is looked at. */
static void key_pass(struct commitlog_cursor *cursor)
{
    if (cursor->pending > 0) {
        cursor->next = cursor->scratch.positions[cursor->pending_at];
        cursor->pending--;
        cursor->pending_at++;
    }
}

/* It refers to a message that is gone: what the query asks for is what there is. */
static int key_pass_expired(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    clg_reader_drop(&cursor->reader);
    return clg_cursor_pass(cursor, fetch);
}

/* The candidates that were taken ahead are of the old core, and so is where its table was left. */
static void key_renew(struct commitlog_cursor *cursor)
{
    clg_lookup_key_init(&cursor->query, cursor->queue, cursor->query.hash, cursor->since_ns,
                        cursor->until_ns, cursor->next);
}

/* All of them that cannot be seen any more: the store has failed since the query began, and what is
 * not durable is not shown. It stays so until a recovery has told what is there, so to ask for them
 * again would only keep what lies before them. */
static void key_pass_lost(struct commitlog_cursor *cursor, uint64_t visible)
{
    CLG_ASSERT(visible < cursor->next);
    cursor->pending = 0;
    cursor->next = visible;
    key_renew(cursor);
}

static int key_read(struct commitlog_cursor *cursor, struct clg_fetch *fetch)
{
    const uint64_t expired = clg_lookup_expired(fetch->core->fold, cursor->queue, fetch->visible);
    while (fetch->count < fetch->max) {
        if (cursor->pending > 0 && cursor->scratch.positions[cursor->pending_at] < expired) {
            cursor->pending = 0; /* newest first: all that was looked up before has expired */
        }
        if (cursor->pending == 0) {
            cursor->pending_at = 0;
            int rc = clg_lookup_key_next(fetch->core->fold, &cursor->query, fetch->visible,
                                         cursor->scratch.positions, CLG_CURSOR_ENTRIES,
                                         &cursor->pending);
            if (rc != COMMITLOG_OK) {
                return rc;
            }
            if (cursor->pending == 0) {
                return key_end(cursor, fetch);
            }
        }
        uint64_t position = cursor->scratch.positions[cursor->pending_at];
        /* A reader without a writer is told, and asks again: the next one's recovery will tell. */
        if (position >= fetch->visible && fetch->core->unrecovered_bytes == 0) {
            key_pass_lost(cursor, fetch->visible);
            continue;
        }
        int rc = clg_cursor_take(cursor, fetch, position, UINT32_MAX, 0, NULL);
        if (rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_ETOOSMALL) {
            rc = COMMITLOG_OK;
        } else if (rc == COMMITLOG_EEXPIRED) {
            rc = key_pass_expired(cursor, fetch);
        }
        if (rc != COMMITLOG_OK) {
            fetch->bound = position;
            return rc; /* the same candidate begins the next call, or is passed */
        }
        key_pass(cursor);
    }
    return COMMITLOG_OK;
}

/* Places it at the newest record of now, whatever is asked for: the order is newest first. */
static int key_seek(struct commitlog_cursor *cursor, struct clg_core *core, uint64_t visible,
                    uint32_t from, uint64_t value)
{
    (void)value;
    if (from != COMMITLOG_FROM_END) {
        return COMMITLOG_EINVAL;
    }
    const struct clg_topic *topic = clg_registry_topic(&core->registry, cursor->topic);
    CLG_ASSERT(topic != NULL);
    cursor->next = visible;
    clg_lookup_key_init(&cursor->query, topic->first_queue,
                        clg_key_hash(topic->name_hash, cursor->key, cursor->key_bytes),
                        cursor->since_ns, cursor->until_ns, visible);
    return COMMITLOG_OK;
}

const struct clg_cursor_kind clg_cursor_key = {
    .read = key_read, .seek = key_seek, .pass = key_pass, .renew = key_renew, .wants = key_matches};
