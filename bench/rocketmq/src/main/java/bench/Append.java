// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.nio.file.Path;

/**
 * How long does an append take, by one thread or several, until the kernel has it all? And how long
 * until the consume queues have it too, which a thread of the store builds?
 */
final class Append {
    private static final long WARM_UP = 1_000_000; // records at most, in a store of their own
    private static final long COMPILED = 300_000; // after as many nothing is compiled any more
    private static final int SMALL = 128;

    private Append() {
    }

    static Options defaults() {
        Options options = new Options();
        options.records = 1_000_000;
        options.bytes = 1024;
        options.threads = 1;
        return options;
    }

    static void run(Options options, Line line) {
        long warmUp = Math.min(options.records, WARM_UP);
        Path before = options.directory.resolve("warm-up");
        Costs costs = new Costs(options.directory);
        if (warmUp < COMPILED) {
            Options small = options.copy();
            small.bytes = Math.min(options.bytes, SMALL);
            warmUp(small, before, COMPILED);
        }
        warmUp(options, before, warmUp); // the memory too
        Path directory = options.directory.resolve("store");
        long dispatchedNs = append(options, directory, options.records, costs);
        costs.put(line);
        line.put("warm_up_records", warmUp);
        line.put("ns", (double) costs.wallNs() / options.records);
        line.put("cpu_ns_each", (double) costs.cpuNs() / options.records);
        line.put("dispatched_ns", (double) (costs.wallNs() + dispatchedNs) / options.records);
        line.put("disk_bytes", Machine.treeBytes(directory));
    }

    private static void warmUp(Options options, Path before, long count) {
        append(options, before, count, new Costs(options.directory));
        Machine.removeTree(before);
        System.gc(); // what that store has mapped, or has outside the heap
    }

    /** Returns how long the queues took after the log was written. */
    private static long append(Options options, Path directory, long count, Costs costs) {
        Store store = new Store(options, directory).open().prepare();
        Fill.byThreads(options, store, count, costs);
        store.drain();
        costs.end();
        long written = System.nanoTime();
        store.dispatched();
        long ns = System.nanoTime() - written;
        Fill.checkByThreads(options, store, count);
        store.close();
        return ns;
    }
}
