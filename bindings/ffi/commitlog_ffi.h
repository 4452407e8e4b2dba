/* Generated from include/commitlog.h by tools/gen-ffi.sh: change that one, not this.
 * Needs the types of <stddef.h> and <stdint.h>: size_t, int32_t, uint32_t, int64_t,
 * uint64_t.
 * SPDX-License-Identifier: BSD-2-Clause */
enum {
    COMMITLOG_FOREVER = -1
};
enum {
    COMMITLOG_VERSION_MAJOR = 0,
    COMMITLOG_VERSION_MINOR = 1,
    COMMITLOG_VERSION_PATCH = 0
};
uint32_t commitlog_version_number(void);
const char *commitlog_version_text(void);
int32_t commitlog_version_check(uint32_t major, uint32_t minor);
enum {
    COMMITLOG_OK = 0,
    COMMITLOG_EINVAL = -1,
    COMMITLOG_EMISUSE = -2,
    COMMITLOG_ECLOSED = -3,
    COMMITLOG_EBUSY = -4,
    COMMITLOG_EFORK = -5,
    COMMITLOG_ETOOBIG = -6,
    COMMITLOG_EUNSUPPORTED = -7,
    COMMITLOG_EEXIST = -8,
    COMMITLOG_ENOMEM = -100,
    COMMITLOG_EIO = -101,
    COMMITLOG_ENOSPC = -102,
    COMMITLOG_EACCESS = -103,
    COMMITLOG_ELOCKED = -104,
    COMMITLOG_ELIMIT = -105,
    COMMITLOG_ENOTDIR = -106,
    COMMITLOG_EDAMAGED = -200,
    COMMITLOG_EFORMAT = -201,
    COMMITLOG_EVERSION = -202,
    COMMITLOG_EUNRECOVERED = -203,
    COMMITLOG_EFOREIGN = -204,
    COMMITLOG_ENOTFOUND = -300,
    COMMITLOG_EAGAIN = -301,
    COMMITLOG_ETIMEDOUT = -302,
    COMMITLOG_EEND = -303,
    COMMITLOG_ETOOSMALL = -304,
    COMMITLOG_EBEYOND = -305,
    COMMITLOG_EROLLEDBACK = -306,
    COMMITLOG_EREVOKED = -307,
    COMMITLOG_EINTERRUPTED = -308,
    COMMITLOG_EHOLE = -309,
    COMMITLOG_EEXPIRED = -310,
    COMMITLOG_EFENCED = -311,
    COMMITLOG_EGAP = -312,
    COMMITLOG_EFULL = -313,
    COMMITLOG_EFAILED = -400,
    COMMITLOG_EUNKNOWN = -401,
    COMMITLOG_EINTERNAL = -402
};
struct commitlog_error {
    int32_t code;
    int32_t os_errno;
    uint64_t position;
    char message[240];
};
const char *commitlog_error_name(int32_t code);
const char *commitlog_error_text(int32_t code);
uint32_t commitlog_error_count(void);
int32_t commitlog_error_at(uint32_t index);
struct commitlog_options;
enum {
    COMMITLOG_READ_WRITE = 0,
    COMMITLOG_READ_ONLY = 1
};
enum {
    COMMITLOG_CREATE_IF_MISSING = 0,
    COMMITLOG_CREATE_NEVER = 1,
    COMMITLOG_CREATE_ALWAYS = 2
};
enum {
    COMMITLOG_ENGINE_STAGED = 0,
    COMMITLOG_ENGINE_MMAP = 1
};
enum {
    COMMITLOG_FLUSH_SYNC = 0,
    COMMITLOG_FLUSH_ASYNC = 1,
    COMMITLOG_FLUSH_NONE = 2
};
enum {
    COMMITLOG_VISIBLE_PUBLISHED = 0,
    COMMITLOG_VISIBLE_DURABLE = 1
};
enum {
    COMMITLOG_RECOVER_TAIL = 0,
    COMMITLOG_RECOVER_STRICT = 1,
    COMMITLOG_RECOVER_SALVAGE = 2
};
enum {
    COMMITLOG_LIVE_AUTO = 0,
    COMMITLOG_LIVE_TMPFS = 1,
    COMMITLOG_LIVE_DIR = 2,
    COMMITLOG_LIVE_PRIVATE = 3
};
enum {
    COMMITLOG_MLOCK_NONE = 0,
    COMMITLOG_MLOCK_STAGE = 1,
    COMMITLOG_MLOCK_HOT = 2,
    COMMITLOG_MLOCK_REQUIRED = 3
};
enum {
    COMMITLOG_PREWRITE_NO = 0,
    COMMITLOG_PREWRITE_YES = 1,
    COMMITLOG_PREWRITE_AUTO = 2
};
enum {
    COMMITLOG_OPT_ACCESS = 1,
    COMMITLOG_OPT_CREATE = 2,
    COMMITLOG_OPT_SEGMENT_BYTES = 3,
    COMMITLOG_OPT_ENGINE = 4,
    COMMITLOG_OPT_STAGE_BYTES = 5,
    COMMITLOG_OPT_FLUSH = 6,
    COMMITLOG_OPT_FLUSH_INTERVAL_MS = 7,
    COMMITLOG_OPT_FLUSH_BYTES = 8,
    COMMITLOG_OPT_FLUSH_ALIGN_BYTES = 9,
    COMMITLOG_OPT_VISIBILITY = 10,
    COMMITLOG_OPT_RECOVERY = 11,
    COMMITLOG_OPT_MAX_BODY_BYTES = 12,
    COMMITLOG_OPT_THREAD = 13,
    COMMITLOG_OPT_LIVE_AREA = 14,
    COMMITLOG_OPT_MLOCK = 15,
    COMMITLOG_OPT_BORROW = 16,
    COMMITLOG_OPT_VERIFY_READS = 17,
    COMMITLOG_OPT_PREWRITE = 18,
    COMMITLOG_OPT_RETAIN_BYTES = 19,
    COMMITLOG_OPT_RETAIN_AGE_MS = 20,
    COMMITLOG_OPT_RETAIN_FREE_BYTES = 21,
    COMMITLOG_OPT_SCRUB_BYTES_PER_S = 22,
    COMMITLOG_OPT_FILE_MODE = 23,
    COMMITLOG_OPT_PRODUCER_EXPIRE_MS = 24
};
enum {
    COMMITLOG_OPTION_U64 = 0,
    COMMITLOG_OPTION_CHOICE = 1
};
struct commitlog_option_info {
    int32_t id;
    uint32_t type;
    uint64_t minimum;
    uint64_t maximum;
    uint64_t initial;
    const char *name;
    const char *unit;
    const char *choices;
    const char *summary;
};
int32_t commitlog_options_create(struct commitlog_options **out);
void commitlog_options_free(struct commitlog_options *options);
int32_t commitlog_options_set(struct commitlog_options *options, int32_t id, uint64_t value, struct commitlog_error *err);
int32_t commitlog_options_set_text(struct commitlog_options *options, const char *name_text, const char *value_text, struct commitlog_error *err);
int32_t commitlog_options_get(const struct commitlog_options *options, int32_t id, uint64_t *out_value);
int32_t commitlog_option_info(uint32_t index, struct commitlog_option_info *out);
struct commitlog_os;
void commitlog_options_set_os(struct commitlog_options *options, const struct commitlog_os *os);
struct commitlog_progress;
int32_t commitlog_progress_create(struct commitlog_progress **out);
void commitlog_progress_free(struct commitlog_progress *progress);
void commitlog_progress_get(const struct commitlog_progress *progress, uint64_t *out_done_bytes, uint64_t *out_total_bytes);
void commitlog_progress_cancel(struct commitlog_progress *progress);
void commitlog_options_set_progress(struct commitlog_options *options, struct commitlog_progress *progress);
struct commitlog_store;
int32_t commitlog_open(const char *path, const struct commitlog_options *options, struct commitlog_store **out_store, struct commitlog_error *err);
int32_t commitlog_close(struct commitlog_store *store, struct commitlog_error *err);
int32_t commitlog_interrupt(struct commitlog_store *store);
enum {
    COMMITLOG_TOPIC_NAME_MAX_BYTES = 255,
    COMMITLOG_TOPIC_QUEUES_MAX = 1048576,
    COMMITLOG_TOPIC_STEPS_MAX = 32
};
int32_t commitlog_topic_open(struct commitlog_store *store, const char *name, size_t name_bytes, uint32_t queues, uint32_t *out_topic, struct commitlog_error *err);
struct commitlog_topic_info {
    uint32_t struct_bytes;
    uint32_t topic;
    uint32_t queues;
    uint32_t name_bytes;
    char name[256];
    uint32_t queues_total;
    uint32_t step_count;
    uint32_t step_queues[COMMITLOG_TOPIC_STEPS_MAX];
    uint64_t keep_age_ms;
    uint64_t expired_below;
};
uint32_t commitlog_topic_count(struct commitlog_store *store);
int32_t commitlog_topic_info(struct commitlog_store *store, uint32_t topic, struct commitlog_topic_info *out);
int32_t commitlog_topic_grow(struct commitlog_store *store, uint32_t topic, uint32_t queues, uint32_t level, struct commitlog_error *err);
int32_t commitlog_topic_shrink(struct commitlog_store *store, uint32_t topic, uint32_t queues, uint32_t level, struct commitlog_error *err);
int32_t commitlog_topic_expire_after(struct commitlog_store *store, uint32_t topic, uint64_t keep_age_ms, uint32_t level, struct commitlog_error *err);
int32_t commitlog_topic_expire(struct commitlog_store *store, uint32_t topic, int64_t before_ns, uint32_t level, struct commitlog_error *err);
struct commitlog_queue_info {
    uint32_t struct_bytes;
    uint32_t reserved;
    uint64_t first_offset;
    uint64_t next_offset;
    int64_t first_time_ns;
    int64_t last_time_ns;
};
int32_t commitlog_queue_info(struct commitlog_store *store, uint32_t topic, uint32_t queue, struct commitlog_queue_info *out);
enum {
    COMMITLOG_LEVEL_DEFAULT = 0,
    COMMITLOG_LEVEL_NONE = 1,
    COMMITLOG_LEVEL_WRITTEN = 2,
    COMMITLOG_LEVEL_DURABLE = 3
};
struct commitlog_slice {
    const void *data;
    size_t bytes;
};
struct commitlog_header {
    struct commitlog_slice name;
    struct commitlog_slice value;
};
struct commitlog_receipt {
    uint64_t position;
    uint64_t end_position;
    uint64_t queue_offset;
    int64_t store_time_ns;
    uint32_t epoch;
    uint32_t level;
    uint32_t duplicate;
    uint32_t reserved;
};
struct commitlog_record {
    uint32_t struct_bytes;
    uint32_t topic;
    uint32_t queue;
    uint32_t level;
    const struct commitlog_slice *body;
    uint32_t body_count;
    uint32_t key_count;
    const struct commitlog_slice *keys;
    struct commitlog_slice tag;
    const struct commitlog_header *headers;
    uint32_t header_count;
    uint32_t has_time;
    int64_t time_ms;
    uint64_t producer_id;
    uint64_t sequence;
    uint32_t producer_epoch;
    uint32_t reserved;
    int64_t deliver_at_ms;
};
enum {
    COMMITLOG_QUEUE_AUTO = 0x7fffffff
};
int32_t commitlog_append(struct commitlog_store *store, uint32_t topic, uint32_t queue, const void *body, size_t body_bytes, uint32_t level, struct commitlog_receipt *out_receipt);
int32_t commitlog_append_record(struct commitlog_store *store, const struct commitlog_record *record, int32_t timeout_ms, struct commitlog_receipt *out_receipt, struct commitlog_error *err);
int32_t commitlog_append_batch(struct commitlog_store *store, const struct commitlog_record *records, uint32_t count, int32_t timeout_ms, struct commitlog_receipt *out_receipts, struct commitlog_error *err);
struct commitlog_reservation;
int32_t commitlog_reserve(struct commitlog_store *store, const struct commitlog_record *record, size_t body_bytes, int32_t timeout_ms, struct commitlog_reservation **out_reservation, void **out_body, struct commitlog_error *err);
int32_t commitlog_commit(struct commitlog_reservation *reservation, int32_t timeout_ms, struct commitlog_receipt *out_receipt, struct commitlog_error *err);
int32_t commitlog_abort(struct commitlog_reservation *reservation);
struct commitlog_limits {
    uint32_t struct_bytes;
    uint32_t reserved;
    uint64_t unflushed_bytes;
    uint64_t unconsumed_bytes;
};
int32_t commitlog_limits_set(struct commitlog_store *store, const struct commitlog_limits *limits, struct commitlog_error *err);
int32_t commitlog_limits_get(struct commitlog_store *store, struct commitlog_limits *out);
int32_t commitlog_sync(struct commitlog_store *store, uint64_t position, int32_t timeout_ms, struct commitlog_error *err);
int32_t commitlog_wait_durable(struct commitlog_store *store, uint64_t position, int32_t timeout_ms);
enum {
    COMMITLOG_KIND_MESSAGE = 1,
    COMMITLOG_KIND_REFERENCE = 2,
    COMMITLOG_KIND_HOLE = 3,
    COMMITLOG_KIND_PAD = 4,
    COMMITLOG_KIND_BATCH = 5,
    COMMITLOG_KIND_TOPIC = 6,
    COMMITLOG_KIND_EPOCH = 7,
    COMMITLOG_KIND_FIRST = 8,
    COMMITLOG_KIND_TRANSACTION = 9,
    COMMITLOG_KIND_TIMER = 10,
    COMMITLOG_KIND_GROUP = 11,
    COMMITLOG_KIND_PRODUCER = 12,
    COMMITLOG_KIND_TOMBSTONE = 13,
    COMMITLOG_KIND_WORK = 14
};
struct commitlog_message {
    uint64_t position;
    uint64_t next_position;
    uint64_t queue_offset;
    int64_t store_time_ns;
    int64_t time_ms;
    uint32_t topic;
    uint32_t queue;
    uint32_t epoch;
    uint32_t kind;
    struct commitlog_slice body;
    struct commitlog_slice tag;
    struct commitlog_slice attributes;
    uint32_t key_count;
    uint32_t header_count;
    uint64_t producer_id;
    uint64_t sequence;
    uint32_t producer_epoch;
    uint32_t reserved;
    int64_t deliver_at_ms;
    uint64_t origin_position;
    uint64_t origin_offset;
    uint32_t origin_topic;
    uint32_t origin_queue;
    uint32_t attempts;
    uint32_t reason;
    uint64_t transaction;
};
enum {
    COMMITLOG_DEAD_EXPIRED = 4,
    COMMITLOG_DEAD_REFUSED = 5
};
int32_t commitlog_message_key(const struct commitlog_message *message, uint32_t index, struct commitlog_slice *out_key);
int32_t commitlog_message_header(const struct commitlog_message *message, uint32_t index, struct commitlog_header *out_header);
struct commitlog_cursor;
enum {
    COMMITLOG_QUEUE_ALL = 0x7ffffffe
};
enum {
    COMMITLOG_FROM_FIRST = 0,
    COMMITLOG_FROM_OFFSET = 1,
    COMMITLOG_FROM_TIME = 2,
    COMMITLOG_FROM_END = 3
};
int32_t commitlog_cursor_open(struct commitlog_store *store, uint32_t topic, uint32_t queue, uint32_t from, uint64_t value, struct commitlog_cursor **out_cursor, struct commitlog_error *err);
int32_t commitlog_cursor_open_key(struct commitlog_store *store, uint32_t topic, const void *key, size_t key_bytes, int64_t since_ns, int64_t until_ns, struct commitlog_cursor **out_cursor, struct commitlog_error *err);
int32_t commitlog_cursor_open_log(struct commitlog_store *store, uint64_t position, struct commitlog_cursor **out_cursor, struct commitlog_error *err);
void commitlog_cursor_close(struct commitlog_cursor *cursor);
int32_t commitlog_cursor_set_tags(struct commitlog_cursor *cursor, const struct commitlog_slice *tags, uint32_t count);
struct commitlog_filter;
enum {
    COMMITLOG_FILTER_TEXT_MAX_BYTES = 16384,
    COMMITLOG_FILTER_COMPARISONS_MAX = 1024,
    COMMITLOG_FILTER_HEADERS_MAX = 64,
    COMMITLOG_FILTER_DEPTH_MAX = 64
};
int32_t commitlog_filter_compile(const void *text, size_t text_bytes, struct commitlog_filter **out_filter, struct commitlog_error *err);
void commitlog_filter_free(struct commitlog_filter *filter);
int32_t commitlog_filter_test(const struct commitlog_filter *filter, const struct commitlog_message *message);
int32_t commitlog_cursor_set_filter(struct commitlog_cursor *cursor, struct commitlog_filter *filter);
int32_t commitlog_cursor_set_pass_limit(struct commitlog_cursor *cursor, uint32_t messages);
int32_t commitlog_cursor_fetch(struct commitlog_cursor *cursor, struct commitlog_message *messages, uint32_t max, int32_t timeout_ms, uint32_t *out_count, uint64_t *out_bound);
uint64_t commitlog_cursor_tell(const struct commitlog_cursor *cursor);
int32_t commitlog_cursor_seek(struct commitlog_cursor *cursor, uint32_t from, uint64_t value);
struct commitlog_lease;
int32_t commitlog_cursor_lease(struct commitlog_cursor *cursor, struct commitlog_lease **out_lease);
int32_t commitlog_lease_check(const struct commitlog_lease *lease);
void commitlog_lease_release(struct commitlog_lease *lease);
int32_t commitlog_get(struct commitlog_store *store, uint64_t position, struct commitlog_message *out_message, struct commitlog_lease **out_lease, struct commitlog_error *err);
int32_t commitlog_read_copy(struct commitlog_store *store, uint32_t topic, uint32_t queue, uint64_t offset, void *buffer, size_t buffer_bytes, struct commitlog_message *messages, uint32_t max, uint32_t *out_count, uint64_t *out_bound);
enum {
    COMMITLOG_LOWER = 0,
    COMMITLOG_UPPER = 1
};
int32_t commitlog_offset_by_time(struct commitlog_store *store, uint32_t topic, uint32_t queue, int64_t time_ns, uint32_t bound, uint64_t *out_offset);
int32_t commitlog_wait(struct commitlog_store *store, uint64_t position, int32_t timeout_ms);
int32_t commitlog_event_fd(struct commitlog_store *store, int32_t *out_fd);
struct commitlog_positions {
    uint32_t struct_bytes;
    uint32_t epoch;
    uint64_t first;
    uint64_t checkpointed;
    uint64_t durable;
    uint64_t written;
    uint64_t published;
    uint64_t claimed;
    uint64_t visible;
};
int32_t commitlog_positions_get(struct commitlog_store *store, struct commitlog_positions *out);
int32_t commitlog_stat(struct commitlog_store *store, uint32_t index, const char **out_name, uint64_t *out_value);
enum {
    COMMITLOG_HISTOGRAM_BUCKETS = 497
};
struct commitlog_histogram {
    uint32_t struct_bytes;
    uint32_t one_in;
    const char *name;
    const char *unit;
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[497];
};
int32_t commitlog_histogram_get(struct commitlog_store *store, uint32_t index, struct commitlog_histogram *out);
uint64_t commitlog_histogram_floor(uint32_t bucket);
uint64_t commitlog_histogram_quantile(const struct commitlog_histogram *histogram, uint32_t millionths);
enum {
    COMMITLOG_EVENT_INFO = 0,
    COMMITLOG_EVENT_WARNING = 1,
    COMMITLOG_EVENT_ERROR = 2
};
struct commitlog_event {
    uint32_t struct_bytes;
    uint32_t severity;
    int64_t time_ns;
    uint64_t lost;
    struct commitlog_error detail;
};
int32_t commitlog_event_next(struct commitlog_store *store, struct commitlog_event *out);
int32_t commitlog_failure(struct commitlog_store *store, struct commitlog_error *err);
int32_t commitlog_step(struct commitlog_store *store, uint32_t budget_us, uint32_t *out_wait_ms);
int32_t commitlog_checkpoint(struct commitlog_store *store, struct commitlog_error *err);
struct commitlog_retention {
    uint32_t struct_bytes;
    uint32_t reserved;
    uint64_t keep_bytes;
    uint64_t keep_age_ms;
    uint64_t free_bytes;
};
struct commitlog_retained {
    uint32_t struct_bytes;
    uint32_t segments_dropped;
    uint64_t bytes_dropped;
    uint64_t bytes_carried;
    uint64_t first;
    uint64_t bytes_held;
    uint64_t kept_from;
};
int32_t commitlog_retain(struct commitlog_store *store, const struct commitlog_retention *policy, struct commitlog_retained *out, struct commitlog_error *err);
int32_t commitlog_rebuild(const char *path, const struct commitlog_options *options, struct commitlog_error *err);
enum {
    COMMITLOG_TAIL_CLEAN = 0,
    COMMITLOG_TAIL_TORN = 1,
    COMMITLOG_TAIL_UNPROVABLE = 2,
    COMMITLOG_TAIL_DAMAGED = 3
};
struct commitlog_recovery {
    uint32_t struct_bytes;
    uint32_t tail;
    uint32_t clean_close;
    uint32_t same_boot;
    uint32_t epoch;
    uint32_t quarantined;
    uint64_t first;
    uint64_t witness;
    uint64_t end;
    uint64_t bytes_scanned;
    uint64_t records_scanned;
    uint64_t bytes_cut;
    uint64_t records_cut;
    uint64_t bytes_rewritten;
    uint64_t records_from_stage;
    uint64_t holes_made;
    uint64_t views_rebuilt;
    uint64_t duration_ns;
    uint64_t damaged_ranges;
};
int32_t commitlog_recovery_get(struct commitlog_store *store, struct commitlog_recovery *out);
struct commitlog_damage {
    uint32_t struct_bytes;
    uint32_t queue;
    uint64_t from_position;
    uint64_t to_position;
    uint64_t from_offset;
    uint64_t to_offset;
    char topic[256];
    char reason[128];
};
int32_t commitlog_damage_get(struct commitlog_store *store, uint32_t index, struct commitlog_damage *out);
struct commitlog_report;
void commitlog_report_free(struct commitlog_report *report);
int32_t commitlog_report_recovery(const struct commitlog_report *report, struct commitlog_recovery *out);
int32_t commitlog_report_damage(const struct commitlog_report *report, uint32_t index, struct commitlog_damage *out);
const char *commitlog_report_line(const struct commitlog_report *report, uint32_t index);
enum {
    COMMITLOG_RECOVER_PLAN_ONLY = 1
};
int32_t commitlog_recover(const char *path, const struct commitlog_options *options, uint32_t flags, struct commitlog_report **out_report, struct commitlog_error *err);
int32_t commitlog_verify(const char *path, const struct commitlog_options *options, struct commitlog_report **out_report, struct commitlog_error *err);
int32_t commitlog_queue_by_key(const void *key, size_t key_bytes, uint32_t queues, uint32_t *out_queue);
int32_t commitlog_queue_round_robin(uint64_t *turn, uint32_t queues, uint32_t *out_queue);
int32_t commitlog_queue_least_loaded(const uint64_t *loads, uint32_t queues, uint64_t start, uint32_t *out_queue);
enum {
    COMMITLOG_GROUP_MEMBERS_MAX = 65536
};
enum {
    COMMITLOG_ASSIGN_AVERAGE = 0,
    COMMITLOG_ASSIGN_CIRCLE = 1,
    COMMITLOG_ASSIGN_CONSISTENT_HASH = 2,
    COMMITLOG_ASSIGN_STICKY = 3
};
int32_t commitlog_assign(uint32_t strategy, const struct commitlog_slice *members, uint32_t member_count, uint32_t queue_count, const uint32_t *previous, uint32_t *out_member_of_queue, struct commitlog_error *err);
struct commitlog_group;
enum {
    COMMITLOG_GROUP_NAME_MAX_BYTES = 255
};
enum {
    COMMITLOG_GROUP_KEEP = 1,
    COMMITLOG_GROUP_CREATE = 2
};
int32_t commitlog_group_open(struct commitlog_store *store, const char *name, size_t name_bytes, uint32_t flags, struct commitlog_group **out_group, struct commitlog_error *err);
void commitlog_group_close(struct commitlog_group *group);
struct commitlog_group_info {
    uint32_t struct_bytes;
    uint32_t epoch;
    uint32_t flags;
    uint32_t queues;
    uint32_t name_bytes;
    char name[256];
};
int32_t commitlog_group_info(struct commitlog_group *group, struct commitlog_group_info *out);
int32_t commitlog_group_at(struct commitlog_store *store, uint32_t index, struct commitlog_group_info *out);
int32_t commitlog_group_configure(struct commitlog_group *group, uint32_t flags, uint32_t level, struct commitlog_error *err);
int32_t commitlog_group_next_epoch(struct commitlog_group *group, uint32_t level, uint32_t *out_epoch, struct commitlog_error *err);
int32_t commitlog_group_delete(struct commitlog_group *group, uint32_t level, struct commitlog_error *err);
struct commitlog_group_offset {
    uint32_t topic;
    uint32_t queue;
    uint64_t offset;
};
enum {
    COMMITLOG_GROUP_OFFSETS_MAX = 2048
};
int32_t commitlog_group_commit(struct commitlog_group *group, uint32_t epoch, const struct commitlog_group_offset *offsets, uint32_t count, uint32_t level, int32_t timeout_ms, struct commitlog_receipt *out_receipt, struct commitlog_error *err);
int32_t commitlog_group_fetch(struct commitlog_group *group, struct commitlog_group_offset *offsets, uint32_t count, struct commitlog_error *err);
int32_t commitlog_group_reset(struct commitlog_group *group, uint32_t topic, uint32_t queue, uint32_t from, uint64_t value, uint32_t level, struct commitlog_error *err);
struct commitlog_group_gate {
    uint32_t struct_bytes;
    uint32_t open;
    uint32_t parent;
    uint32_t reserved;
    uint64_t mark;
    uint64_t committed;
};
int32_t commitlog_group_gate(struct commitlog_group *group, uint32_t topic, uint32_t queue, struct commitlog_group_gate *out, struct commitlog_error *err);
struct commitlog_group_lag {
    uint32_t struct_bytes;
    uint32_t queues;
    uint64_t messages;
    uint64_t dropped;
    int64_t oldest_time_ns;
};
int32_t commitlog_group_lag(struct commitlog_group *group, uint32_t topic, uint32_t queue, struct commitlog_group_lag *out, struct commitlog_error *err);
int32_t commitlog_timer_cancel(struct commitlog_store *store, uint64_t timer, uint32_t level, struct commitlog_error *err);
struct commitlog_timer_info {
    uint32_t struct_bytes;
    uint32_t topic;
    uint32_t queue;
    uint32_t reserved;
    uint64_t timer;
    uint64_t position;
    int64_t deliver_at_ms;
};
int32_t commitlog_timer_at(struct commitlog_store *store, uint32_t index, struct commitlog_timer_info *out);
int64_t commitlog_delay_level_ms(uint32_t level);
struct commitlog_receiver;
enum {
    COMMITLOG_RECEIVE_MAX = 64
};
enum {
    COMMITLOG_RECEIVE_ORDERED = 1,
    COMMITLOG_RECEIVE_DEAD_TOPIC = 2
};
struct commitlog_receiver_options {
    uint32_t struct_bytes;
    uint32_t flags;
    uint32_t max_attempts;
    uint32_t dead_topic;
    int64_t visibility_ms;
};
struct commitlog_delivery {
    uint64_t offset;
    uint32_t queue;
    uint32_t attempt;
};
int32_t commitlog_receiver_open(struct commitlog_group *group, uint32_t topic, const struct commitlog_receiver_options *options, struct commitlog_receiver **out_receiver, struct commitlog_error *err);
void commitlog_receiver_close(struct commitlog_receiver *receiver);
int32_t commitlog_receive(struct commitlog_receiver *receiver, struct commitlog_message *messages, struct commitlog_delivery *deliveries, uint32_t max, int32_t timeout_ms, uint32_t *out_count, struct commitlog_error *err);
int32_t commitlog_ack(struct commitlog_receiver *receiver, const struct commitlog_delivery *deliveries, uint32_t count, uint32_t level, struct commitlog_error *err);
int32_t commitlog_extend(struct commitlog_receiver *receiver, const struct commitlog_delivery *deliveries, uint32_t count, int64_t visibility_ms, struct commitlog_error *err);
int32_t commitlog_nack(struct commitlog_receiver *receiver, const struct commitlog_delivery *deliveries, uint32_t count, int64_t delay_ms, struct commitlog_error *err);
enum {
    COMMITLOG_WORK_PENDING = 1,
    COMMITLOG_WORK_DONE = 2
};
struct commitlog_work_info {
    uint32_t struct_bytes;
    uint32_t state;
    uint64_t offset;
    uint32_t count;
    uint32_t attempts;
    int64_t visible_at_ms;
};
int32_t commitlog_group_work(struct commitlog_group *group, uint32_t topic, uint32_t queue, uint64_t offset, struct commitlog_work_info *out, struct commitlog_error *err);
struct commitlog_transaction;
enum {
    COMMITLOG_TRANSACTIONS_MAX = 65536
};
enum {
    COMMITLOG_TRANSACTION_PREPARED = 1
};
struct commitlog_transaction_options {
    uint32_t struct_bytes;
    uint32_t flags;
    int64_t timeout_ms;
    int64_t prepared_ms;
};
int32_t commitlog_transaction_begin(struct commitlog_store *store, const char *group, size_t group_bytes, const struct commitlog_transaction_options *options, struct commitlog_transaction **out_transaction, struct commitlog_error *err);
int32_t commitlog_transaction_open(struct commitlog_store *store, uint64_t transaction, struct commitlog_transaction **out_transaction, struct commitlog_error *err);
void commitlog_transaction_close(struct commitlog_transaction *transaction);
uint64_t commitlog_transaction_id(const struct commitlog_transaction *transaction);
int32_t commitlog_transaction_append(struct commitlog_transaction *transaction, const struct commitlog_record *record, int32_t timeout_ms, struct commitlog_receipt *out_receipt, struct commitlog_error *err);
int32_t commitlog_transaction_offsets(struct commitlog_transaction *transaction, struct commitlog_group *group, uint32_t epoch, const struct commitlog_group_offset *offsets, uint32_t count, struct commitlog_error *err);
int32_t commitlog_transaction_prepare(struct commitlog_transaction *transaction, uint32_t level, int32_t timeout_ms, struct commitlog_error *err);
int32_t commitlog_transaction_commit(struct commitlog_transaction *transaction, uint32_t level, int32_t timeout_ms, struct commitlog_receipt *out_receipt, struct commitlog_error *err);
int32_t commitlog_transaction_rollback(struct commitlog_transaction *transaction, uint32_t level, int32_t timeout_ms, struct commitlog_error *err);
struct commitlog_transaction_info {
    uint32_t struct_bytes;
    uint32_t prepared;
    uint64_t transaction;
    int64_t begin_ms;
    int64_t expires_at_ms;
    uint64_t bytes;
    uint32_t messages;
    uint32_t offset_groups;
    uint32_t group_bytes;
    char group[256];
};
int32_t commitlog_transaction_next(struct commitlog_store *store, uint64_t after, struct commitlog_transaction_info *out);
struct commitlog_transaction_message {
    uint32_t struct_bytes;
    uint32_t topic;
    uint32_t queue;
    uint32_t reserved;
    uint64_t position;
};
int32_t commitlog_transaction_message(struct commitlog_store *store, uint64_t transaction, uint32_t index, struct commitlog_transaction_message *out);
