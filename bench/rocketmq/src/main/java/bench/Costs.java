// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.nio.file.Path;

/** What a stretch of a run has cost: wall_ns, cpu_ns, requests that make data durable, sectors. */
final class Costs {
    private final Path directory;
    private final long[] syncs = new long[Machine.SYNCS.length];
    private long deviceBytes;
    private long cpuNs;
    private long wallNs;

    Costs(Path directory) {
        this.directory = directory;
    }

    void begin() {
        for (int i = 0; i < syncs.length; i++) {
            syncs[i] = Machine.syncs(i);
        }
        deviceBytes = Machine.deviceBytes(directory);
        cpuNs = Machine.cpuNs();
        wallNs = System.nanoTime();
    }

    void end() {
        wallNs = System.nanoTime() - wallNs;
        cpuNs = Machine.cpuNs() - cpuNs;
        for (int i = 0; i < syncs.length; i++) {
            syncs[i] = Machine.syncs(i) - syncs[i];
        }
        deviceBytes = deviceBytes < 0 ? -1 : Machine.deviceBytes(directory) - deviceBytes;
    }

    long wallNs() {
        return wallNs;
    }

    long cpuNs() {
        return cpuNs;
    }

    long deviceBytes() {
        return deviceBytes;
    }

    /** fsync, fdatasync and msync. */
    long flushes() {
        return syncs[0] + syncs[1] + syncs[2];
    }

    void put(Line line) {
        line.put("wall_ns", wallNs);
        line.put("cpu_ns", cpuNs);
        for (int i = 0; i < syncs.length; i++) {
            line.put(Machine.SYNCS[i], syncs[i]);
        }
        if (deviceBytes >= 0) {
            line.put("device_bytes", deviceBytes);
        }
    }
}
