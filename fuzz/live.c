/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * live.c -- fuzz target: the live area of a writer that is gone, as a reader attaches to it and as
 * recovery takes it for evidence.
 *
 * Input: a bundle with LOCK, LIVE and the active segment.
 *
 * Held: evidence lies in [written, claimed); what the ring gives for a record verifies; whatever
 * lies in counters and histograms, what is made of it is a number in its bounds.
 */
#include <string.h>

#include "base/histogram.h"
#include "base/order.h"
#include "format/live_area.h"
#include "log/live.h"
#include "recovery/stage.h"
#include "recovery/store_dir.h"
#include "support/check.h"
#include "support/disk.h"
#include "support/fuzz.h"

static void live_page(const struct fuzz_file *file)
{
    struct clg_live_header header;
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    struct clg_live_header again;
    if (file->bytes < CLG_FORMAT_PAGE_BYTES ||
        clg_live_area_check(file->data, file->bytes, NULL, NULL, &header) != 0) {
        return;
    }
    FUZZ_CHECK(header.ring_offset + header.ring_bytes <= file->bytes);
    clg_live_header_encode(page, &header);
    FUZZ_CHECK(clg_live_area_check(page, file->bytes, header.uuid, header.boot_id, &again) == 0);
}

/* What a reader shows of a histogram: lib/store/histograms.c. */
static void live_histogram(const struct clg_live_histogram *page)
{
    uint64_t counts[CLG_HISTOGRAM_BUCKETS];
    for (uint32_t i = 0; i < CLG_HISTOGRAM_BUCKETS; i++) {
        counts[i] = clg_load_relaxed_u64(&page->buckets[i]);
    }
    uint64_t max = clg_load_relaxed_u64(&page->max);
    uint64_t total = clg_histogram_total(counts);
    uint64_t median = clg_histogram_quantile(counts, 500000, max);
    uint64_t most = clg_histogram_quantile(counts, 1000000, max);
    FUZZ_CHECK(median <= most && (total != 0 || most == 0));
    FUZZ_CHECK(total == 0 || counts[clg_histogram_bucket(median)] != 0);
    FUZZ_CHECK(total == 0 || counts[clg_histogram_bucket(most)] != 0);
}

static void live_attach(struct fuzz_disk *disk, const struct clg_store_dir *dir)
{
    struct clg_live live;
    if (clg_live_attach(&live, &disk->os, dir->dir_fd, dir->last.live_path, dir->last.uuid,
                        dir->boot_id, NULL) == 0) {
        uint8_t sum = 0;
        for (uint64_t i = 0; i < 2 * live.ring_bytes; i += 512) {
            sum = (uint8_t)(sum + live.ring[i]);
        }
        FUZZ_CHECK(clg_live_load(&live.area->written) + sum >= sum);
        FUZZ_CHECK(live.histogram_count <= CLG_HISTOGRAMS);
        for (uint32_t i = 0; i < live.histogram_count; i++) {
            live_histogram(&live.histograms[i]);
        }
        clg_live_close(&live, false);
    }
    clg_live_retire(&disk->os, dir->dir_fd, dir->last.live_path, dir->last.uuid);
}

static void live_fetch(struct clg_stage *stage, const struct clg_segment *segment,
                       const struct clg_stage_found *found, uint64_t position)
{
    const uint8_t *bytes = NULL;
    uint32_t got = 0;
    uint32_t size = 0;
    for (uint64_t i = 0; i < found->records && position < found->end; i++) {
        int rc = clg_stage_fetch(stage, segment, position, position, &bytes, &got, &size, NULL);
        FUZZ_CHECK(rc == 0 && size >= CLG_RECORD_MIN && got >= CLG_RECORD_HEADER_BYTES);
        struct clg_record_header header;
        uint64_t seed = clg_record_seed(segment->salt, position);
        clg_record_decode(bytes, &header);
        FUZZ_CHECK(clg_record_verify_header(bytes, seed));
        FUZZ_CHECK(clg_record_verify_body(&header, bytes, seed));
        position += size;
    }
}

static void live_stage(struct clg_store_dir *dir, const struct clg_segment *segment)
{
    struct clg_stage stage;
    struct clg_stage_found found;
    const struct clg_checkpoint newest = {.session = dir->last.session};
    if (clg_stage_open(&stage, dir, dir->last.uuid, &newest, NULL) != 0) {
        return;
    }
    FUZZ_CHECK(!stage.live.usable || (!stage.live.unsound && !stage.live.missing));
    const struct clg_scan_bounds bounds = {0};
    uint64_t at = stage.live.written;
    for (uint32_t i = 0; stage.live.usable && i < FUZZ_FILE_BYTES_MAX / 8; i++) {
        FUZZ_CHECK(at <= stage.live.claimed);
        if (at < segment->data_start || at >= segment->data_end ||
            clg_stage_look(&stage, segment, &bounds, at, &found, NULL) != 0 ||
            found.verdict == CLG_STAGE_NONE) {
            break;
        }
        FUZZ_CHECK(found.end > at && found.end <= stage.live.claimed);
        FUZZ_CHECK(found.end <= segment->data_end);
        if (found.verdict == CLG_STAGE_RECORDS) {
            live_fetch(&stage, segment, &found, at);
        }
        at = found.end;
    }
    clg_stage_close(&stage);
}

static void live_store(struct fuzz_disk *disk, const struct fuzz_file *log)
{
    struct clg_store_dir dir;
    struct clg_store_dir_options options = {.read_only = false, .create = COMMITLOG_CREATE_NEVER};
    struct clg_segment *segment = NULL;
    enum clg_segment_state state;
    if (clg_store_dir_open(&disk->os, FUZZ_STORE, &options, &dir, NULL) != 0) {
        return;
    }
    memcpy(dir.segment_dir.uuid, dir.last.uuid, CLG_UUID_BYTES);
    if (dir.last_known &&
        clg_segment_open(&dir.segment_dir, log->position, false, &segment, &state, NULL) == 0) {
        live_stage(&dir, segment);
    }
    clg_segment_unref(segment);
    if (dir.last_known) {
        live_attach(disk, &dir);
    }
    clg_store_dir_close(&dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bundle bundle;
    struct fuzz_disk disk;
    fuzz_bundle_unpack(data, size, &bundle);
    const struct fuzz_file *live = fuzz_bundle_find(&bundle, FUZZ_LIVE);
    const struct fuzz_file *log = fuzz_bundle_find(&bundle, FUZZ_LOG);
    if (live != NULL) {
        live_page(live);
    }
    if (live != NULL && log != NULL && log->position <= CLG_POSITION_MAX) {
        fuzz_disk_load(&disk, &bundle);
        live_store(&disk, log);
        fuzz_disk_free(&disk);
    }
    fuzz_bundle_free(&bundle);
    return 0;
}
