// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.util.concurrent.CyclicBarrier;

/** Threads that begin at once, each on its CPU. What one of them throws ends the run. */
final class Crew {
    interface Work {
        void run(int thread) throws Exception;
    }

    private Crew() {
    }

    /** Runs `work` in each thread; `costs`, if any, begin as the threads do. */
    static void run(Options options, int threads, Costs costs, Work work) {
        CyclicBarrier barrier = new CyclicBarrier(threads + 1);
        Throwable[] failed = new Throwable[threads];
        Thread[] crew = new Thread[threads];
        for (int i = 0; i < threads; i++) {
            int number = i;
            crew[i] = new Thread(() -> {
                try {
                    if (!options.unpinned) {
                        Machine.pin(number);
                    }
                    barrier.await();
                    work.run(number);
                } catch (Throwable e) { // of any kind: the run is over
                    failed[number] = e;
                    barrier.reset();
                }
            }, "bench-" + i);
            crew[i].start();
        }
        try {
            while (barrier.getNumberWaiting() < threads && !barrier.isBroken()) {
                Thread.onSpinWait();
            }
            if (costs != null) {
                costs.begin();
            }
            barrier.await();
            for (Thread thread : crew) {
                thread.join();
            }
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
        for (Throwable e : failed) {
            if (e != null) {
                throw new IllegalStateException(e);
            }
        }
    }
}
