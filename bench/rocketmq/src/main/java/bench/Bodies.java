// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The bodies of bench_body (bench/support/bench.c), byte for byte. */
final class Bodies {
    static final int MAX = 64 * 1024;

    private static final int POOL_BYTES = 256 * 1024;
    private static final int STEP = 8 * 4099;
    private static final byte[] POOL = pool();
    private static final VarHandle INTS = MethodHandles.byteArrayViewVarHandle(int[].class,
        ByteOrder.BIG_ENDIAN);

    private Bodies() {
    }

    private static byte[] pool() {
        VarHandle words = MethodHandles.byteArrayViewVarHandle(long[].class,
            ByteOrder.LITTLE_ENDIAN);
        byte[] pool = new byte[POOL_BYTES + MAX];
        long state = 0x9e3779b97f4a7c15L;
        for (int i = 0; i < pool.length; i += Long.BYTES) {
            state ^= state << 13; // xorshift64, G. Marsaglia, 2003
            state ^= state >>> 7;
            state ^= state << 17;
            words.set(pool, i, state);
        }
        return pool;
    }

    private static int place(long record) {
        return (int) (record * STEP % POOL_BYTES);
    }

    static void copy(long record, byte[] to, int at, int bytes) {
        System.arraycopy(POOL, place(record), to, at, bytes);
    }

    /** The first four bytes, as a ByteBuffer reads them. */
    static int word(long record) {
        return (int) INTS.get(POOL, place(record));
    }

    /** Whether what stands at `at` is the body of this record. */
    static boolean same(long record, ByteBuffer buffer, int at, int bytes) {
        return buffer.slice(at, bytes).equals(ByteBuffer.wrap(POOL, place(record), bytes));
    }
}
