/* SPDX-License-Identifier: BSD-2-Clause */
/* live_area.c -- header page of the live area; see live_area.h */
#include "format/live_area.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "commitlog.h"

CLG_FORMAT_ASSERT(CLG_LIVE_AT_BOOT_ID == CLG_FILE_HEADER_BYTES);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_DEVICE == CLG_LIVE_AT_BOOT_ID + CLG_BOOT_ID_BYTES);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_INODE == CLG_LIVE_AT_DEVICE + 8u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_SESSION == CLG_LIVE_AT_INODE + 8u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_START_TIME == CLG_LIVE_AT_SESSION + 8u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_RING_BYTES == CLG_LIVE_AT_START_TIME + 8u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_RING_OFFSET == CLG_LIVE_AT_RING_BYTES + 8u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_AREA_BYTES == CLG_LIVE_AT_RING_OFFSET + 8u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_CREATED == CLG_LIVE_AT_AREA_BYTES + 8u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_PID == CLG_LIVE_AT_CREATED + 8u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_ENGINE == CLG_LIVE_AT_PID + 4u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_EPOCH == CLG_LIVE_AT_ENGINE + 4u);
CLG_FORMAT_ASSERT(CLG_LIVE_AT_HISTOGRAMS == CLG_LIVE_AT_EPOCH + 4u);

static bool live_header_ok(const struct clg_live_header *header)
{
    if (header->histograms > CLG_LIVE_HISTOGRAMS_MAX || header->ring_bytes > CLG_RING_MAX ||
        header->ring_offset != clg_live_ring_offset(header->histograms) ||
        header->area_bytes != header->ring_offset + header->ring_bytes) {
        return false;
    }
    if (header->engine == CLG_ENGINE_MMAP) {
        return header->ring_bytes == 0;
    }
    return header->engine == CLG_ENGINE_STAGED && header->ring_bytes >= CLG_RING_MIN &&
           clg_is_power_of_two(header->ring_bytes);
}

void clg_live_header_encode(uint8_t page[CLG_FORMAT_PAGE_BYTES],
                            const struct clg_live_header *header)
{
    CLG_ASSERT(page != NULL);
    CLG_ASSERT(live_header_ok(header));
    clg_format_begin(page, CLG_FORMAT_PAGE_BYTES, CLG_MAGIC_LIVE_AREA, header->uuid);
    memcpy(page + CLG_LIVE_AT_BOOT_ID, header->boot_id, CLG_BOOT_ID_BYTES);
    clg_store_le64(page + CLG_LIVE_AT_DEVICE, header->device);
    clg_store_le64(page + CLG_LIVE_AT_INODE, header->inode);
    clg_store_le64(page + CLG_LIVE_AT_SESSION, header->session);
    clg_store_le64(page + CLG_LIVE_AT_START_TIME, header->start_time);
    clg_store_le64(page + CLG_LIVE_AT_RING_BYTES, header->ring_bytes);
    clg_store_le64(page + CLG_LIVE_AT_RING_OFFSET, header->ring_offset);
    clg_store_le64(page + CLG_LIVE_AT_AREA_BYTES, header->area_bytes);
    clg_store_le64(page + CLG_LIVE_AT_CREATED, (uint64_t)header->created);
    clg_store_le32(page + CLG_LIVE_AT_PID, header->pid);
    clg_store_le32(page + CLG_LIVE_AT_ENGINE, header->engine);
    clg_store_le32(page + CLG_LIVE_AT_EPOCH, header->epoch);
    clg_store_le32(page + CLG_LIVE_AT_HISTOGRAMS, header->histograms);
    clg_format_finish(page, CLG_FORMAT_PAGE_BYTES, 0);
}

int clg_live_area_check(const void *page, uint64_t bytes, const uint8_t *uuid,
                        const uint8_t *boot_id, struct clg_live_header *header)
{
    const uint8_t *at = page;
    struct clg_file_header file;
    struct clg_live_header decoded;
    CLG_ASSERT(header != NULL);
    if (bytes < CLG_LIVE_HISTOGRAMS_AT) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = clg_format_decode(at, CLG_FORMAT_PAGE_BYTES, CLG_FORMAT_PAGE_BYTES,
                               CLG_MAGIC_LIVE_AREA, 0, uuid, true, &file);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    memcpy(decoded.uuid, file.uuid, CLG_UUID_BYTES);
    memcpy(decoded.boot_id, at + CLG_LIVE_AT_BOOT_ID, CLG_BOOT_ID_BYTES);
    decoded.device = clg_load_le64(at + CLG_LIVE_AT_DEVICE);
    decoded.inode = clg_load_le64(at + CLG_LIVE_AT_INODE);
    decoded.session = clg_load_le64(at + CLG_LIVE_AT_SESSION);
    decoded.start_time = clg_load_le64(at + CLG_LIVE_AT_START_TIME);
    decoded.ring_bytes = clg_load_le64(at + CLG_LIVE_AT_RING_BYTES);
    decoded.ring_offset = clg_load_le64(at + CLG_LIVE_AT_RING_OFFSET);
    decoded.area_bytes = clg_load_le64(at + CLG_LIVE_AT_AREA_BYTES);
    decoded.created = (int64_t)clg_load_le64(at + CLG_LIVE_AT_CREATED);
    decoded.pid = clg_load_le32(at + CLG_LIVE_AT_PID);
    decoded.engine = clg_load_le32(at + CLG_LIVE_AT_ENGINE);
    decoded.epoch = clg_load_le32(at + CLG_LIVE_AT_EPOCH);
    decoded.histograms = clg_load_le32(at + CLG_LIVE_AT_HISTOGRAMS);
    if (!live_header_ok(&decoded) || decoded.area_bytes != bytes) {
        return COMMITLOG_EDAMAGED;
    }
    if (boot_id != NULL && memcmp(boot_id, decoded.boot_id, CLG_BOOT_ID_BYTES) != 0) {
        return COMMITLOG_EFOREIGN;
    }
    *header = decoded;
    return COMMITLOG_OK;
}
