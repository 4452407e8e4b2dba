// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * How long until a store is open and its last record read, whose process was killed (SIGKILL)
 * after that was appended? Another process makes it: the question `fill`, in the directory given.
 * Before the store that counts, one of its own warms up the code; how long that took, the first
 * time in the process, is first_ns. load_ns of it is what the store takes to load and recover; the
 * rest is for its threads, locks and the RocksDB that it opens for timers, used or not.
 */
final class Reopen {
    private static final long WARM_UP = 300_000;
    private static final String FILLED = "filled";

    private Reopen() {
    }

    static Options defaults() {
        Options options = new Options();
        options.records = 1_000_000;
        options.bytes = 1024;
        options.threads = 1;
        options.queues = 1;
        return options;
    }

    static void run(Options options, Line line) {
        long warmUp = Math.min(options.records, WARM_UP);
        Path before = options.directory.resolve("warm-up");
        Path directory = options.directory.resolve("store");
        line.put("accelerated", options.accelerated);
        line.put("first_records", warmUp);
        line.put("first_ns", reopen(options, before, warmUp, null));
        Machine.removeTree(before);
        System.gc();
        reopen(options, directory, options.records, line);
        line.put("disk_bytes", Machine.treeBytes(directory));
    }

    private static long reopen(Options options, Path directory, long count, Line line) {
        fillAndKill(options, directory, count);
        Costs costs = new Costs(options.directory);
        costs.begin();
        long begin = System.nanoTime();
        Store store = new Store(options, directory).open();
        long openNs = System.nanoTime() - begin;
        readLast(options, store, count);
        costs.end();
        Fill.checkInterleaved(options, store, count);
        // And appended to: the numbers go on where they were.
        Store.need(store.new Writer().put(0, Fill.inQueue(options, count, 0) * options.queues, 1)
            .join());
        store.dispatched();
        Fill.check(options, store, 0, 0, options.queues, Fill.inQueue(options, count, 0) + 1);
        store.close();
        if (line != null) {
            costs.put(line);
            line.put("ns", costs.wallNs());
            line.put("open_ns", openNs);
            line.put("load_ns", store.loadNs());
            line.put("first_read_ns", costs.wallNs() - openNs);
            line.put("acknowledged", count);
            line.put("recovered", count); // all, by the check above
            line.put("lost", 0);
        }
        return costs.wallNs();
    }

    private static void readLast(Options options, Store store, long count) {
        store.dispatched();
        store.get((int) ((count - 1) % options.queues), (count - 1) / options.queues,
            (offset, buffer, at, bytes, crc) -> {
                if (!Bodies.same(count - 1, buffer, at, bytes)) {
                    throw new IllegalStateException("the last record is wrong");
                }
            });
    }

    private static void fillAndKill(Options options, Path directory, long count) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), "bench.Main", "fill",
            "--engine", options.engine.label, "--directory", directory.toString(),
            "--records", Long.toString(count), "--bytes", Integer.toString(options.bytes),
            "--queues", Integer.toString(options.queues)));
        if (options.durable) {
            command.add("--durable");
        }
        if (options.unpinned) {
            command.add("--unpinned");
        }
        try {
            Process child = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
            String word;
            try (BufferedReader lines = new BufferedReader(
                new InputStreamReader(child.getInputStream(), StandardCharsets.US_ASCII))) {
                word = lines.readLine();
                child.destroyForcibly();
            }
            child.waitFor();
            if (!FILLED.equals(word)) {
                throw new IllegalStateException("the store could not be filled: " + word);
            }
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The other process: it says that it has filled the store, and waits to be killed. */
    static void fill(Options options) {
        Store store = new Store(options, options.below).open().prepare();
        Fill.interleaved(options, store, options.records, null);
        store.drain();
        System.out.println(FILLED);
        System.out.flush();
        try {
            // The other end is closed if nobody is there to kill this process.
            System.in.read();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
