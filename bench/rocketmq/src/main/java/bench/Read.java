// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.zip.CRC32;

/**
 * How long does it take to read a queue back: in order, or at random offsets? The store is filled
 * first, untimed. A pass touches the first word and the length of each body; the store itself
 * verifies nothing, a consumer compares the CRC-32 that stands beside the body: verified_ns. In one
 * more pass, in order, every byte is compared.
 */
final class Read {
    private static final long WARM_UP_NS = 3_000_000_000L;

    private Read() {
    }

    static Options defaults() {
        Options options = new Options();
        options.records = 1_000_000;
        options.bytes = 1024;
        options.threads = 1;
        options.passes = 5;
        options.gets = 200_000;
        return options;
    }

    /** What a pass has seen. */
    private static final class Seen implements Store.Visit {
        private final int bytes;
        private final boolean verify;
        private final CRC32 crc = new CRC32();
        private long total;
        private long words;
        private long wrong;

        Seen(int bytes, boolean verify) {
            this.bytes = bytes;
            this.verify = verify;
        }

        @Override
        public void see(long offset, ByteBuffer buffer, int at, int length, int bodyCrc) {
            total += length;
            words += length >= Integer.BYTES ? buffer.getInt(at) : 0;
            if (length != bytes) {
                wrong++;
            } else if (verify) {
                crc.reset();
                crc.update(buffer.limit(at + length).position(at));
                // As UtilAll.crc32 has it: without the sign.
                wrong += ((int) crc.getValue() & Integer.MAX_VALUE) == bodyCrc ? 0 : 1;
            }
        }
    }

    static void run(Options options, Line line) {
        Path directory = options.directory.resolve("store");
        Store store = new Store(options, directory).open().prepare();
        Fill.byThreads(options, store, options.records, null);
        store.dispatched();
        Passes touched = new Passes(options.passes);
        Passes verified = new Passes(options.passes);
        double firstNs = onePass(options, store, false, null);
        for (long begin = System.nanoTime(); System.nanoTime() - begin < WARM_UP_NS; ) {
            onePass(options, store, false, null);
            onePass(options, store, true, null);
        }
        for (int i = 0; i < options.passes; i++) { // in turns: both meet the same machine
            touched.add(onePass(options, store, false, null));
            verified.add(onePass(options, store, true, null));
        }
        line.put("passes", options.passes);
        line.put("access", options.random ? "random" : "in order");
        line.put("cache", "hot");
        line.put("first_ns", firstNs);
        touched.put(line, "");
        verified.put(line, "verified_");
        if (options.random) {
            line.put("gets", options.gets);
            Latencies latencies = new Latencies();
            onePass(options, store, false, latencies);
            latencies.put(line);
        } else {
            line.put("gb_per_s", options.bytes / touched.median());
        }
        long begin = System.nanoTime();
        Fill.checkByThreads(options, store, options.records);
        line.put("compared_ns", (double) (System.nanoTime() - begin) / options.records);
        store.close();
        line.put("disk_bytes", Machine.treeBytes(directory));
    }

    /** Nanoseconds for each record. */
    private static double onePass(Options options, Store store, boolean verify,
                                  Latencies latencies) {
        double[] ns = new double[1];
        Crew.run(options, 1, null, thread -> ns[0] = pass(options, store, verify, latencies));
        return ns[0];
    }

    private static double pass(Options options, Store store, boolean verify, Latencies latencies) {
        Seen seen = new Seen(options.bytes, verify);
        long records = options.random ? options.gets : options.records;
        long begin = System.nanoTime();
        if (options.random) {
            gets(options, store, seen, latencies);
        } else if (store.scan(0, 0, seen) != options.records) {
            throw new IllegalStateException("a pass has not seen all records");
        }
        long ns = System.nanoTime() - begin;
        if (seen.wrong != 0 || seen.total != records * options.bytes
            || seen.words != expectedWords(options)) {
            throw new IllegalStateException("a pass has seen " + seen.wrong + " wrong records, "
                + seen.total + " bytes");
        }
        return (double) ns / records;
    }

    private static void gets(Options options, Store store, Seen seen, Latencies latencies) {
        long last = System.nanoTime();
        for (int i = 0; i < options.gets; i++) {
            store.get(0, offsetOf(options, i), seen);
            if (latencies != null) {
                long now = System.nanoTime();
                latencies.add(now - last);
                last = now;
            }
        }
    }

    /** SplitMix64 (G. Steele, D. Lea, C. Flood, 2014): the same offsets in each pass and engine. */
    private static long offsetOf(Options options, long i) {
        long x = (i + 1) * 0x9e3779b97f4a7c15L;
        x = (x ^ x >>> 30) * 0xbf58476d1ce4e5b9L;
        x = (x ^ x >>> 27) * 0x94d049bb133111ebL;
        x ^= x >>> 31;
        return (x >>> 32) * options.records >>> 32;
    }

    private static long expectedWords(Options options) {
        long words = 0;
        if (options.bytes >= Integer.BYTES) {
            for (long i = 0; i < (options.random ? options.gets : options.records); i++) {
                words += Bodies.word(options.random ? offsetOf(options, i) : i);
            }
        }
        return words;
    }
}
