// SPDX-License-Identifier: BSD-2-Clause
package bench;

import com.sun.jna.Function;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.BitSet;
import java.util.concurrent.locks.LockSupport;

/**
 * What is asked of the machine below Java, the same that bench/support/bench.c asks: CPU time of
 * the process, pinned threads, counts of libsyncs.so, sectors written, blocks of files. Through
 * JNA, which RocketMQ's store has with it; nothing of it is called for each record.
 */
final class Machine {
    static final String[] SYNCS = {"fsyncs", "fdatasyncs", "msyncs", "ranges"};

    private static final int CLOCK_PROCESS_CPUTIME_ID = 2;
    private static final int CPU_SET_BYTES = 128;
    private static final long NS_PER_SECOND = 1_000_000_000L;
    private static final int SECTOR_BYTES = 512;
    private static final int SECTORS_WRITTEN = 6; // the seventh word of a block device's stat
    private static final NativeLibrary LIBC = NativeLibrary.getInstance("c");
    private static final Function SYNC_COUNT = syncCount();
    private static final BitSet ALLOWED = allowed();

    private static final int REMOVE_TRIES = 50;
    private static final long REMOVE_PAUSE_NS = 100_000_000;

    private Machine() {
    }

    /** Throws when something is missing that it needs. */
    static void check() {
        syncs(0);
    }

    private static Function syncCount() {
        try {
            return NativeLibrary.getProcess().getFunction("bench_syncs");
        } catch (UnsatisfiedLinkError e) {
            throw new IllegalStateException("libsyncs.so is not there: LD_PRELOAD names it", e);
        }
    }

    static long syncs(int which) {
        return SYNC_COUNT.invokeLong(new Object[] {which});
    }

    static long cpuNs() {
        long[] time = new long[2];
        call("clock_gettime", CLOCK_PROCESS_CPUTIME_ID, time);
        return time[0] * NS_PER_SECOND + time[1];
    }

    /** The CPUs that the process was started on. */
    private static BitSet allowed() {
        byte[] set = new byte[CPU_SET_BYTES];
        call("sched_getaffinity", 0, (long) CPU_SET_BYTES, set);
        return BitSet.valueOf(set);
    }

    /** The calling thread stays on one CPU: number `thread` of those allowed, round and round. */
    static void pin(int thread) {
        int cpu = ALLOWED.nextSetBit(0);
        for (int i = thread % ALLOWED.cardinality(); i > 0; i--) {
            cpu = ALLOWED.nextSetBit(cpu + 1);
        }
        byte[] set = new byte[CPU_SET_BYTES];
        set[cpu / Byte.SIZE] = (byte) (1 << cpu % Byte.SIZE);
        call("sched_setaffinity", 0, (long) CPU_SET_BYTES, set);
    }

    private static void call(String function, Object... arguments) {
        if (LIBC.getFunction(function).invokeInt(arguments) < 0) {
            throw new IllegalStateException(function + ": errno " + Native.getLastError());
        }
    }

    /** Written to the disk below the directory, by anyone; -1: it has no block device. */
    static long deviceBytes(Path directory) {
        try {
            long device = (Long) Files.getAttribute(directory, "unix:dev");
            long major = device >> 8 & 0xfff | device >> 32 & ~0xfffL;
            long minor = device & 0xff | device >> 12 & ~0xffL;
            Path stat = Path.of("/sys/dev/block/" + major + ":" + (minor & 0xffffffffL) + "/stat");
            if (!Files.exists(stat)) {
                return -1;
            }
            String[] words = Files.readString(stat).trim().split(" +");
            return Long.parseLong(words[SECTORS_WRITTEN]) * SECTOR_BYTES;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Blocks that the files below the directory have, in bytes. */
    static long treeBytes(Path directory) {
        try {
            Process find = new ProcessBuilder("find", directory.toString(), "-type", "f", "-printf",
                "%b\\n").redirectError(ProcessBuilder.Redirect.INHERIT).start();
            long blocks = 0;
            try (BufferedReader lines = new BufferedReader(
                new InputStreamReader(find.getInputStream(), StandardCharsets.US_ASCII))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    blocks += Long.parseLong(line);
                }
            }
            if (find.waitFor() != 0) {
                throw new IllegalStateException("find: " + directory);
            }
            return blocks * SECTOR_BYTES;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Threads of a store that failed may still make files: it is tried again. */
    static void removeTree(Path directory) {
        for (int i = 1; ; i++) {
            try {
                removeOnce(directory);
                return;
            } catch (IOException e) {
                if (i == REMOVE_TRIES) {
                    throw new UncheckedIOException(e);
                }
                LockSupport.parkNanos(REMOVE_PAUSE_NS);
            }
        }
    }

    private static void removeOnce(Path directory) throws IOException {
        Files.walkFileTree(directory, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path below, IOException error)
                throws IOException {
                Files.delete(below);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
