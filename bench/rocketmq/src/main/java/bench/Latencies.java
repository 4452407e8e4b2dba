// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.util.Arrays;

/**
 * A count for each 1/64 of each power of two, as bench/support/histogram.h has it: a percentile is
 * right to 1.6 %, the largest one is exact.
 */
final class Latencies {
    private static final int SUB_BITS = 6;
    private static final int BITS = 40;
    private static final double[] SHARES = {0.5, 0.9, 0.99, 0.999, 0.9999};
    private static final String[] NAMES = {"p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns"};

    private final long[] counts = new long[(BITS - SUB_BITS + 1) << SUB_BITS];
    private long total;
    private long max;

    private static int bucket(long value) {
        if (value >> BITS != 0) {
            return ((BITS - SUB_BITS + 1) << SUB_BITS) - 1;
        }
        if (value >> SUB_BITS == 0) {
            return (int) value;
        }
        int shift = 63 - Long.numberOfLeadingZeros(value) - SUB_BITS;
        return ((shift + 1) << SUB_BITS) + (int) (value >> shift & ((1 << SUB_BITS) - 1));
    }

    /** The largest value of a bucket. */
    private static long upper(int bucket) {
        int shift = (bucket >> SUB_BITS) - 1;
        if (shift < 0) {
            return bucket;
        }
        long first = (1L << SUB_BITS) + (bucket & ((1 << SUB_BITS) - 1));
        return (first + 1 << shift) - 1;
    }

    void add(long ns) {
        counts[bucket(ns)]++;
        total++;
        max = Math.max(max, ns);
    }

    void merge(Latencies other) {
        Arrays.setAll(counts, i -> counts[i] + other.counts[i]);
        total += other.total;
        max = Math.max(max, other.max);
    }

    private long at(double share) {
        long wanted = (long) Math.ceil(share * total);
        long seen = 0;
        for (int i = 0; i < counts.length; i++) {
            seen += counts[i];
            if (seen >= wanted && seen > 0) {
                return Math.min(upper(i), max);
            }
        }
        return max;
    }

    void put(Line line) {
        for (int i = 0; i < SHARES.length; i++) {
            line.put(NAMES[i], at(SHARES[i]));
        }
        line.put("max_ns", max);
    }
}
