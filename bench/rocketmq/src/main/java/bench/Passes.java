// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.util.Arrays;

/** The same work done several times: nanoseconds of each record by pass, and the middle of them. */
final class Passes {
    private final double[] each;
    private int count;

    Passes(int most) {
        each = new double[most];
    }

    void add(double ns) {
        each[count++] = ns;
    }

    double median() {
        double[] sorted = sorted();
        return sorted[sorted.length / 2];
    }

    private double[] sorted() {
        double[] sorted = Arrays.copyOf(each, count);
        Arrays.sort(sorted);
        return sorted;
    }

    /** The names of bench/support/passes.c. */
    void put(Line line, String prefix) {
        double[] sorted = sorted();
        line.put(prefix + "ns", median());
        line.put(prefix + "least_ns", sorted[0]);
        line.put(prefix + "most_ns", sorted[sorted.length - 1]);
    }
}
