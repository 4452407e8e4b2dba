// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.util.concurrent.CompletableFuture;
import org.apache.rocketmq.store.PutMessageResult;

/** Appends what the questions ask about, and compares every byte of what is read back. */
final class Fill {
    private Fill() {
    }

    static long first(Options options, long count, int thread) {
        return count * thread / options.threads;
    }

    /** Each thread its part of the records to a queue of its own. */
    static void byThreads(Options options, Store store, long count, Costs costs) {
        Crew.run(options, options.threads, costs, thread -> {
            Store.Writer writer = store.new Writer();
            long to = first(options, count, thread + 1);
            for (long i = first(options, count, thread); i < to; i += options.batch) {
                int records = (int) Math.min(options.batch, to - i);
                acknowledged(writer.put(thread, i, records));
            }
        });
    }

    /** One thread, a record to each queue in turn. */
    static void interleaved(Options options, Store store, long count, Costs costs) {
        Crew.run(options, 1, costs, thread -> {
            Store.Writer writer = store.new Writer();
            for (long i = 0; i < count; i++) {
                acknowledged(writer.put((int) (i % options.queues), i, 1));
            }
        });
    }

    private static void acknowledged(CompletableFuture<PutMessageResult> put) {
        Store.need(put.join());
    }

    /** Record number n of the queue is record number first + n * step of all. */
    static void check(Options options, Store store, int queue, long first, long step, long count) {
        long[] wrong = {0};
        long seen = store.scan(queue, 0, (offset, buffer, at, bytes, crc) -> {
            if (bytes != options.bytes
                || !Bodies.same(first + offset * step, buffer, at, bytes)) {
                wrong[0]++;
            }
        });
        if (seen != count || wrong[0] != 0) {
            throw new IllegalStateException("queue " + queue + ": " + seen + " records of " + count
                + ", " + wrong[0] + " wrong");
        }
    }

    static void checkByThreads(Options options, Store store, long count) {
        for (int i = 0; i < options.threads; i++) {
            long first = first(options, count, i);
            check(options, store, i, first, 1, first(options, count, i + 1) - first);
        }
    }

    static void checkInterleaved(Options options, Store store, long count) {
        for (int i = 0; i < options.queues; i++) {
            check(options, store, i, i, options.queues, inQueue(options, count, i));
        }
    }

    static long inQueue(Options options, long count, int queue) {
        return (count + options.queues - 1 - queue) / options.queues;
    }
}
