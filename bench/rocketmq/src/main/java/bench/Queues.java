// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.nio.file.Path;

/**
 * What do many queues cost: records appended to each in turn by one thread, then read queue by
 * queue? Beside it, one_ns, stand the same appends to one queue; a first such store warms up.
 */
final class Queues {
    private Queues() {
    }

    static Options defaults() {
        Options options = new Options();
        options.records = 1_000_000;
        options.bytes = 1024;
        options.threads = 1;
        options.queues = 1000;
        options.passes = 5;
        return options;
    }

    static void run(Options options, Line line) {
        Path directory = options.directory.resolve("store");
        one(options);
        double oneNs = one(options);
        Costs costs = new Costs(options.directory);
        Store store = new Store(options, directory).open().prepare();
        double dispatchedNs = append(options, store, costs);
        costs.put(line);
        double ns = (double) costs.wallNs() / options.records;
        line.put("ns", ns);
        line.put("one_ns", oneNs);
        line.put("times_one", ns / oneNs);
        line.put("cpu_ns_each", (double) costs.cpuNs() / options.records);
        line.put("dispatched_ns", dispatchedNs);
        read(options, store, line);
        store.close();
        line.put("disk_bytes", Machine.treeBytes(directory));
    }

    /** Nanoseconds for each record of a store with one queue. */
    private static double one(Options options) {
        Options one = options.copy();
        one.queues = 1;
        Path directory = options.directory.resolve("one");
        Costs costs = new Costs(options.directory);
        Store store = new Store(one, directory).open().prepare();
        append(one, store, costs);
        onePass(one, store, false);
        Fill.checkInterleaved(one, store, one.records);
        store.close();
        Machine.removeTree(directory);
        System.gc();
        return (double) costs.wallNs() / one.records;
    }

    /** Nanoseconds for each record until its queue has it; `costs` end when the log has it. */
    private static double append(Options options, Store store, Costs costs) {
        Fill.interleaved(options, store, options.records, costs);
        store.drain();
        costs.end();
        long begin = System.nanoTime();
        store.dispatched();
        return (double) (costs.wallNs() + System.nanoTime() - begin) / options.records;
    }

    private static void read(Options options, Store store, Line line) {
        Passes passes = new Passes(options.passes);
        line.put("read_first_ns", onePass(options, store, false));
        for (int i = 0; i < options.passes; i++) {
            passes.add(onePass(options, store, false));
        }
        passes.put(line, "read_");
        line.put("compared_ns", onePass(options, store, true));
    }

    private static double onePass(Options options, Store store, boolean compare) {
        double[] ns = new double[1];
        Crew.run(options, 1, null, thread -> ns[0] = pass(options, store, compare));
        return ns[0];
    }

    private static double pass(Options options, Store store, boolean compare) {
        long[] seen = {0, 0}; // records, and a word of each
        long begin = System.nanoTime();
        if (compare) {
            Fill.checkInterleaved(options, store, options.records);
            return (double) (System.nanoTime() - begin) / options.records;
        }
        for (int i = 0; i < options.queues; i++) {
            store.scan(i, 0, (offset, buffer, at, bytes, crc) -> {
                seen[0] += bytes == options.bytes ? 1 : 0;
                seen[1] += bytes >= Integer.BYTES ? buffer.getInt(at) : 0;
            });
        }
        long ns = System.nanoTime() - begin;
        long words = 0;
        for (long i = 0; i < options.records && options.bytes >= Integer.BYTES; i++) {
            words += Bodies.word(i);
        }
        if (seen[0] != options.records || seen[1] != words) {
            throw new IllegalStateException("a pass has seen " + seen[0] + " records of "
                + options.records);
        }
        return (double) ns / options.records;
    }
}
