/*
 * append.h -- the state of `commitlog append`, and of `commitlog tx append`, between its options
 * and its loop.
 *
 * Owns: the records gathered for a batch, the acknowledgements that wait for the disk.
 * Invariants: an acknowledgement is printed only once its level is reached, in the order of the
 *       input; everything read is durable when the command ends with 0 or 1.
 * Threads and locks: one thread.
 * Happy path: line -> record_in -> append_check -> append_add -> (batch full) -> the log ->
 *       (level durable) one flush for all that came without waiting -> acknowledgements.
 * Failure modes: a bad line is reported with its number and left out; a failing store ends the run.
 *       In a transaction a bad line ends the run too, and who began it rolls it back.
 */
#ifndef COMMITLOG_TOOL_APPEND_H
#define COMMITLOG_TOOL_APPEND_H

#include "open.h"
#include "record_in.h"

struct lines;

/* Options that say what the records are. */
struct append_options {
    char *topic;
    char *queues;
    char *queue;
    char *tag;
    char **keys;
    int by_key;
    int jsonl;
    struct store_options store;
};

/* The first entries of a table. */
#define APPEND_RECORD_OPTIONS(o)                                                                   \
    {"topic", 't', POPT_ARG_STRING, &(o)->topic, 0, "topic of the records", "TOPIC"},              \
        {"queues",                                                                                 \
         '\0',                                                                                     \
         POPT_ARG_STRING,                                                                          \
         &(o)->queues,                                                                             \
         0,                                                                                        \
         "queues of a topic that is created (default 8); an existing one must have as many",       \
         "N"},                                                                                     \
        {"queue",     'q', POPT_ARG_STRING,                                                        \
         &(o)->queue, 0,   "queue of the records (default: by the first key, else in turn)",       \
         "N"},                                                                                     \
        {"by-key",     '\0', POPT_ARG_NONE,                                                        \
         &(o)->by_key, 0,    "queue by the first key; a record without a key is a bad line",       \
         NULL},                                                                                    \
        {"key", 'k', POPT_ARG_ARGV, &(o)->keys, 0, "a key of the records (repeatable)", "KEY"},    \
        {"tag", '\0', POPT_ARG_STRING, &(o)->tag, 0, "tag of the records", "TAG"},                 \
    {                                                                                              \
        "jsonl", 'j', POPT_ARG_NONE, &(o)->jsonl, 0, "each line is a JSON object", NULL            \
    }

struct append_ack {
    uint64_t position;
    uint64_t queue_offset;
    uint64_t line;
    bool waits; /* in no queue yet; position is the handle of its timer */
};

/* At most this much waits for one flush. */
enum { APPEND_PENDING = 8192, APPEND_PENDING_BYTES = 4 * 1024 * 1024, APPEND_PENDING_MS = 50 };

struct append {
    struct cli *cli;
    struct store store;
    struct commitlog_transaction *transaction; /* all is appended to it; NULL: there is none */
    struct record_defaults defaults;
    uint32_t queues; /* of a topic to be created */
    bool queues_given;
    bool by_key;
    bool jsonl;
    bool acks;
    uint64_t delay_ms; /* --delay: defaults.deliver_at_ms is so much behind the line's reading */
    bool delayed;
    uint32_t level;
    uint32_t batch; /* records per batch; 0: no batches */
    uint64_t body_max_bytes;

    struct commitlog_topic_info topic; /* the one looked up last */
    bool topic_valid;

    struct record_in *records; /* max(batch, 1) places */
    struct commitlog_record *prepared;
    struct commitlog_receipt *receipts;
    uint32_t gathered;
    uint64_t gathered_bytes;  /* of their bodies and attributes */
    uint64_t batch_max_bytes; /* no segment takes a batch of more */
    uint32_t refused;         /* records of a batch that is too large, which is left out */
    uint64_t refused_from;    /* its first line, and the last so far */
    uint64_t refused_to;

    struct append_ack *pending; /* APPEND_PENDING + batch places */
    uint32_t pending_count;
    uint64_t pending_end;   /* position that makes them durable */
    uint64_t pending_bytes; /* of bodies */
    double pending_since;
    bool bad; /* a line was left out */
};

/* Takes the options; false: reported. */
bool append_take_options(struct append *append, const struct append_options *o);
/* Memory for the loop; the store is open. CLI_DONE or a reported failure. */
int append_begin(struct append *append);
void append_free(struct append *append);
/* All lines, and what is left when they end; the store is open. CLI_DONE: nothing failed. */
int append_lines(struct append *append, struct lines *lines, struct bar *bar);
/* Where the next line is to be read into. */
struct record_in *append_place(struct append *append);
/* Reports a line that is left out. CLI_DONE: go on without it. */
int append_reject(struct append *append, uint64_t line, const char *reason);
/* True: the record may be stored; else in->reason says why not, and nothing was changed. */
bool append_check(struct append *append, struct record_in *in);
/* Takes the record in append_place; stores it, or the batch it completes. */
int append_add(struct append *append);
/* Stores a batch that is not full. */
int append_end_batch(struct append *append);
/* Makes what is pending durable and acknowledges it. */
int append_settle(struct append *append);

#endif
