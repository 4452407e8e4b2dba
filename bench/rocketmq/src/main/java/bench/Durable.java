// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicLong;

/**
 * How many appends a second, each on the disk when it is acknowledged, and how long does each wait?
 * It ends after --seconds or --records, whichever comes first.
 * A thread has --in-flight of them on the way: with 1 it waits for each (putMessage), with more it
 * goes on and takes the futures of asyncPutMessage in order; a latency ends when the future is
 * completed.
 */
final class Durable {
    private static final double WARM_UP_SECONDS = 3; // at most, in a store of their own
    private static final long NS_PER_SECOND = 1_000_000_000L;

    private Durable() {
    }

    static Options defaults() {
        Options options = new Options();
        options.durable = true;
        options.records = 250_000;
        options.bytes = 1024;
        options.threads = 1;
        options.seconds = 5;
        return options;
    }

    static void run(Options options, Line line) {
        Path before = options.directory.resolve("warm-up");
        append(options, before, Math.min(options.seconds, WARM_UP_SECONDS),
            new Costs(options.directory), new Latencies());
        Machine.removeTree(before);
        System.gc();
        Costs costs = new Costs(options.directory);
        Latencies latencies = new Latencies();
        Path directory = options.directory.resolve("store");
        long records = append(options, directory, options.seconds, costs, latencies);
        costs.put(line);
        line.put("records", records);
        line.put("in_flight", options.inFlight);
        line.put("ns", (double) costs.wallNs() / records);
        line.put("cpu_ns_each", (double) costs.cpuNs() / records);
        line.put("records_per_s", (double) records * NS_PER_SECOND / costs.wallNs());
        line.put("flushes_each", (double) costs.flushes() / records);
        line.put("flushes_per_s", (double) costs.flushes() * NS_PER_SECOND / costs.wallNs());
        if (costs.deviceBytes() >= 0) {
            line.put("device_bytes_each", (double) costs.deviceBytes() / records);
        }
        latencies.put(line);
        line.put("disk_bytes", Machine.treeBytes(directory));
    }

    /** How many records there are at the end. */
    private static long append(Options options, Path directory, double seconds, Costs costs,
                               Latencies all) {
        Store store = new Store(options, directory).open().prepare();
        long[] records = new long[options.threads];
        Latencies[] latencies = new Latencies[options.threads];
        AtomicLong end = new AtomicLong();
        Crew.run(options, options.threads, costs, thread -> {
            latencies[thread] = new Latencies();
            end.compareAndSet(0, System.nanoTime() + (long) (seconds * NS_PER_SECOND));
            records[thread] = appendUntil(options, store, thread, end.get(), latencies[thread]);
        });
        costs.end();
        store.dispatched();
        long total = 0;
        for (int i = 0; i < options.threads; i++) {
            Fill.check(options, store, i, 0, 1, records[i]);
            total += records[i];
            all.merge(latencies[i]);
        }
        store.close();
        return total;
    }

    private record Put(long begin, CompletableFuture<Long> end) {
    }

    private static long appendUntil(Options options, Store store, int thread, long deadline,
                                    Latencies latencies) {
        Store.Writer writer = store.new Writer();
        Put[] onTheWay = new Put[options.inFlight];
        long puts = 0;
        long taken = 0;
        long most = Fill.first(options, options.records, thread + 1)
            - Fill.first(options, options.records, thread);
        while (System.nanoTime() < deadline && puts * options.batch < most) {
            if (puts - taken == options.inFlight) {
                take(onTheWay[(int) (taken++ % options.inFlight)], latencies);
            }
            long begin = System.nanoTime();
            CompletableFuture<Long> end = writer.put(thread, puts * options.batch, options.batch)
                .thenApply(result -> {
                    Store.need(result);
                    return System.nanoTime();
                });
            onTheWay[(int) (puts++ % options.inFlight)] = new Put(begin, end);
            if (options.inFlight == 1) {
                end.join(); // not only when the next one is due
            }
        }
        while (taken < puts) {
            take(onTheWay[(int) (taken++ % options.inFlight)], latencies);
        }
        return puts * options.batch;
    }

    private static void take(Put put, Latencies latencies) {
        latencies.add(put.end.join() - put.begin);
    }
}
