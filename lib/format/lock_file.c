/* SPDX-License-Identifier: BSD-2-Clause */
/* lock_file.c -- content of LOCK; see lock_file.h */
#include "format/lock_file.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"

CLG_FORMAT_ASSERT(CLG_LOCK_AT_START_TIME == CLG_FILE_HEADER_BYTES);
CLG_FORMAT_ASSERT(CLG_LOCK_AT_SESSION == CLG_LOCK_AT_START_TIME + 8u);
CLG_FORMAT_ASSERT(CLG_LOCK_AT_BOOT_ID == CLG_LOCK_AT_SESSION + 8u);
CLG_FORMAT_ASSERT(CLG_LOCK_AT_PID == CLG_LOCK_AT_BOOT_ID + CLG_BOOT_ID_BYTES);
CLG_FORMAT_ASSERT(CLG_LOCK_AT_PATH_BYTES == CLG_LOCK_AT_PID + 4u);
CLG_FORMAT_ASSERT(CLG_LOCK_AT_PATH == CLG_LOCK_AT_PATH_BYTES + 4u);
CLG_FORMAT_ASSERT(CLG_LIVE_PATH_MAX == 2048u && CLG_BOOT_ID_BYTES == 16u);
CLG_STATIC_ASSERT(CLG_LOCK_AT_PATH + CLG_LIVE_PATH_MAX <=
                      CLG_LOCK_FILE_BYTES - CLG_FORMAT_CHECK_BYTES,
                  "the path fits");

int clg_lock_file_encode(uint8_t page[CLG_LOCK_FILE_BYTES], const struct clg_lock_file *lock)
{
    CLG_ASSERT(page != NULL);
    CLG_ASSERT(lock != NULL);
    const char *end = memchr(lock->live_path, 0, sizeof(lock->live_path));
    if (end == NULL) {
        return COMMITLOG_EINVAL;
    }
    size_t path_bytes = (size_t)(end - lock->live_path);
    clg_format_begin(page, CLG_LOCK_FILE_BYTES, CLG_MAGIC_LOCK_FILE, lock->uuid);
    clg_store_le64(page + CLG_LOCK_AT_START_TIME, lock->start_time);
    clg_store_le64(page + CLG_LOCK_AT_SESSION, lock->session);
    memcpy(page + CLG_LOCK_AT_BOOT_ID, lock->boot_id, CLG_BOOT_ID_BYTES);
    clg_store_le32(page + CLG_LOCK_AT_PID, lock->pid);
    clg_store_le32(page + CLG_LOCK_AT_PATH_BYTES, (uint32_t)path_bytes);
    memcpy(page + CLG_LOCK_AT_PATH, lock->live_path, path_bytes);
    clg_format_finish(page, CLG_LOCK_FILE_BYTES, 0);
    return COMMITLOG_OK;
}

int clg_lock_file_decode(const uint8_t *page, uint64_t bytes, const uint8_t *uuid,
                         struct clg_lock_file *lock)
{
    struct clg_file_header file;
    CLG_ASSERT(lock != NULL);
    if (clg_is_zero(page, bytes < CLG_LOCK_FILE_BYTES ? bytes : CLG_LOCK_FILE_BYTES)) {
        return COMMITLOG_ENOTFOUND;
    }
    if (bytes < CLG_LOCK_FILE_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = clg_format_decode(page, bytes, CLG_LOCK_FILE_BYTES, CLG_MAGIC_LOCK_FILE, 0, uuid, true,
                               &file);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    uint32_t path_bytes = clg_load_le32(page + CLG_LOCK_AT_PATH_BYTES);
    if (path_bytes > CLG_LIVE_PATH_MAX || memchr(page + CLG_LOCK_AT_PATH, 0, path_bytes) != NULL) {
        return COMMITLOG_EDAMAGED;
    }
    memset(lock, 0, sizeof(*lock));
    memcpy(lock->uuid, file.uuid, CLG_UUID_BYTES);
    lock->start_time = clg_load_le64(page + CLG_LOCK_AT_START_TIME);
    lock->session = clg_load_le64(page + CLG_LOCK_AT_SESSION);
    memcpy(lock->boot_id, page + CLG_LOCK_AT_BOOT_ID, CLG_BOOT_ID_BYTES);
    lock->pid = clg_load_le32(page + CLG_LOCK_AT_PID);
    memcpy(lock->live_path, page + CLG_LOCK_AT_PATH, path_bytes);
    CLG_ASSERT(lock->live_path[path_bytes] == 0);
    return COMMITLOG_OK;
}
