/* SPDX-License-Identifier: BSD-2-Clause */
/* states.c -- outcomes of opening a spoiled store; see states.h. */
#include "states.h"

#include <stdio.h>
#include <string.h>

void states_begin(struct states *states, uint64_t seed)
{
    char log[DIRS_PATH_MAX];
    memset(states, 0, sizeof *states);
    dirs_make(states->root, "states");
    path_join(states->pristine, states->root, "pristine");
    path_join(states->path, states->root, "store");
    small_make(states->pristine, COMMITLOG_ENGINE_STAGED, seed);
    small_answers(states->pristine, &states->answers);
    CHECKF(states->answers.rc == COMMITLOG_OK, "%s in %s", commitlog_error_name(states->answers.rc),
           states->answers.where);
    path_join(log, states->pristine, "log");
    states->segments = dirs_list(log, ".log");
    CHECK(states->segments.count >= 3);
}

void states_end(struct states *states)
{
    names_free(&states->segments);
    dirs_remove(states->root);
}

void states_fresh(struct states *states, const char *name)
{
    states->name = name;
    dirs_remove(states->path);
    dirs_copy(states->pristine, states->path);
    if (prog_env_is("VERBOSE"))
        printf("  state: %s\n", name);
}

void states_segment(const struct states *states, uint32_t index, char out[DIRS_PATH_MAX])
{
    char log[DIRS_PATH_MAX];
    if (index == UINT32_MAX)
        index = 2;
    CHECK(index < states->segments.count);
    path_join(log, states->path, "log");
    path_join(out, log, states->segments.names[index]);
}

int32_t states_open(const char *path, uint64_t access, uint64_t recovery,
                    struct commitlog_store **out, struct commitlog_error *err)
{
    struct commitlog_options *options = small_options(COMMITLOG_ENGINE_STAGED, access, recovery);
    int32_t rc = 0;
    memset(err, 0, sizeof *err);
    *out = NULL;
    rc = commitlog_open(path, options, out, err);
    commitlog_options_free(options);
    if (rc != COMMITLOG_OK)
        CHECKF(*out == NULL && err->code == rc && err->message[0] != '\0', "code %d message \"%s\"",
               err->code, err->message);
    return rc;
}

static void same_answers(const struct states *states, const struct answers *got, const char *how)
{
    CHECKF(got->rc == COMMITLOG_OK, "%s, %s: %s in %s", states->name, how,
           commitlog_error_name(got->rc), got->where);
    CHECKF(got->hash == states->answers.hash, "%s, %s: other answers, %llu messages of %llu",
           states->name, how, (unsigned long long)got->messages,
           (unsigned long long)states->answers.messages);
}

/* Asks a store that is open for writing, and closes it. */
static void ask_and_close(struct states *states, struct commitlog_store *store)
{
    struct answers got;
    struct commitlog_error err = {.message = ""};
    small_ask(store, &got);
    same_answers(states, &got, "for writing");
    CHECK_OK(commitlog_close(store, &err), &err);
    small_answers(states->path, &got);
    same_answers(states, &got, "read-only after");
}

void states_sound(struct states *states)
{
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    int32_t rc =
        states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err);
    CHECKF(rc == COMMITLOG_OK, "%s: %s: %s", states->name, commitlog_error_name(rc), err.message);
    ask_and_close(states, store);
    /* It is not only readable: it goes on. */
    small_extend(states->path, COMMITLOG_ENGINE_STAGED, 3, 50);
}

void states_damaged(struct states *states, int32_t code)
{
    struct commitlog_store *store = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_error err;
    struct answers got;
    char log[DIRS_PATH_MAX];
    uint64_t before = 0;
    int32_t rc = 0;
    path_join(log, states->path, "log");
    before = dirs_hash(log);
    small_answers(states->path, &got);
    CHECKF(small_is_damage(got.rc) || (got.rc == 0 && got.hash == states->answers.hash),
           "%s, read-only: %s in %s, %llu messages", states->name, commitlog_error_name(got.rc),
           got.where, (unsigned long long)got.messages);
    rc = commitlog_verify(states->path, NULL, &report, &err);
    CHECKF(small_is_damage(rc), "%s: verify says %s", states->name, commitlog_error_name(rc));
    commitlog_report_free(report);
    rc = states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err);
    CHECKF(code != 0 ? rc == code : small_is_damage(rc), "%s, for writing: %s (expected %s)",
           states->name, commitlog_error_name(rc), commitlog_error_name(code));
    CHECKF(dirs_hash(log) == before, "%s: log/ was changed", states->name);
}

int32_t states_verify(const struct states *states)
{
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_verify(states->path, NULL, &report, &err);
    CHECKF(rc == COMMITLOG_OK || small_is_damage(rc), "%s: verify: %s: %s", states->name,
           commitlog_error_name(rc), err.message);
    CHECKF(rc == COMMITLOG_OK || err.message[0] != '\0', "%s: verify says nothing", states->name);
    commitlog_report_free(report);
    return rc;
}

void states_sound_or_damaged(struct states *states)
{
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    char log[DIRS_PATH_MAX];
    uint64_t before = 0;
    int32_t verified = states_verify(states);
    int32_t rc = 0;
    path_join(log, states->path, "log");
    before = dirs_hash(log);
    rc = states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_TAIL, &store, &err);
    if (rc == COMMITLOG_OK) {
        ask_and_close(states, store);
        return;
    }
    CHECKF(small_is_damage(rc), "%s: %s", states->name, commitlog_error_name(rc));
    CHECKF(small_is_damage(verified), "%s: refused, but sound to verify", states->name);
    CHECKF(dirs_hash(log) == before, "%s: log/ was changed", states->name);
}

void states_salvage(struct states *states, uint32_t least)
{
    static struct placed places[SMALL_POSITIONS_MAX];
    uint32_t count = small_places(states->pristine, places);
    struct commitlog_store *store = NULL;
    struct commitlog_error err;
    struct commitlog_report *report = NULL;
    uint32_t kept = 0;
    int32_t rc =
        states_open(states->path, COMMITLOG_READ_WRITE, COMMITLOG_RECOVER_SALVAGE, &store, &err);
    CHECKF(rc == COMMITLOG_OK, "%s, salvage: %s: %s", states->name, commitlog_error_name(rc),
           err.message);
    for (uint32_t i = 0; i < count; i++) {
        struct commitlog_message message;
        struct commitlog_lease *lease = NULL;
        rc = commitlog_get(store, places[i].position, &message, &lease, &err);
        if (rc == COMMITLOG_EHOLE)
            commitlog_lease_release(lease);
        if (rc != COMMITLOG_OK)
            continue;
        if (message.topic != UINT32_MAX) { /* else the pad that damage up to the end became */
            CHECKF(small_message_hash(&message) == places[i].hash, "%s: another record at %llu",
                   states->name, (unsigned long long)places[i].position);
            kept++;
        }
        commitlog_lease_release(lease);
    }
    CHECKF(kept >= least, "%s: salvage kept %u of %u", states->name, kept, count);
    CHECK_OK(commitlog_close(store, &err), &err);
    small_extend(states->path, COMMITLOG_ENGINE_STAGED, 3, 50);
    rc = commitlog_verify(states->path, NULL, &report, &err);
    CHECKF(rc == COMMITLOG_OK, "%s: verify after salvage: %s: %s", states->name,
           commitlog_error_name(rc), err.message);
    commitlog_report_free(report);
}

void states_recover(struct states *states, uint64_t mode)
{
    struct commitlog_options *options =
        small_options(COMMITLOG_ENGINE_STAGED, COMMITLOG_READ_WRITE, mode);
    struct commitlog_report *report = NULL;
    struct commitlog_recovery found = {.struct_bytes = sizeof found};
    struct commitlog_error err = {.message = ""};
    uint64_t before = 0;
    int32_t rc = commitlog_recover(states->path, options, 0, &report, &err);
    CHECKF(rc == COMMITLOG_OK, "%s: recover: %s", states->name, err.message);
    commitlog_report_free(report);
    rc = commitlog_verify(states->path, NULL, &report, &err);
    CHECKF(rc == COMMITLOG_OK, "%s: verify after recover: %s: %s", states->name,
           commitlog_error_name(rc), err.message);
    commitlog_report_free(report);
    before = dirs_hash(states->path);
    rc = commitlog_recover(states->path, options, 0, &report, &err);
    CHECKF(rc == COMMITLOG_OK, "%s: recover again: %s", states->name, err.message);
    CHECK_RC(commitlog_report_recovery(report, &found), COMMITLOG_OK);
    CHECKF(found.clean_close == 1, "%s: the recovered store was not closed", states->name);
    commitlog_report_free(report);
    CHECKF(dirs_hash(states->path) == before, "%s: the second recovery changed it", states->name);
    commitlog_options_free(options);
}
