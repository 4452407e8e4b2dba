// SPDX-License-Identifier: BSD-2-Clause
//
// Stop.java - how a verb that goes on is told to end. Asked once, by the thread that reads lines.

import java.util.concurrent.CountDownLatch;

final class Stop {
    private final CountDownLatch latch = new CountDownLatch(1);

    void ask() {
        latch.countDown();
    }

    boolean asked() {
        return latch.getCount() == 0;
    }

    void await() throws InterruptedException {
        latch.await();
    }
}
