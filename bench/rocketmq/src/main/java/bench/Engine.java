// SPDX-License-Identifier: BSD-2-Clause
package bench;

import org.apache.rocketmq.store.config.FlushDiskType;
import org.apache.rocketmq.store.config.MessageStoreConfig;

/** The ways in which RocketMQ's store brings a message into its log; each a row of the tables. */
enum Engine {
    MAPPED("rocketmq", true, "nothing", "mapped files"),
    WARM("rocketmq-warm", true, "nothing",
        "mapped files, each written with zeros and locked in memory before it is used, the "
            + "first two on the disk before the clock starts"),
    POOL("rocketmq-pool", false, "what was not written yet: up to 200 ms",
        "transientStorePool: 5 buffers of 1 GiB, written by a thread"),
    CHANNEL("rocketmq-channel", true, "nothing", "writeWithoutMmap: a write call for each append");

    private static final int MAX_FETCH_BYTES = 4 * 1024 * 1024;
    private static final int MOST_OF_THE_DISK = 95;

    final String label;
    final boolean durable; // offered with --durable
    final String lostAtKill;
    private final String how;

    Engine(String label, boolean durable, String lostAtKill, String how) {
        this.label = label;
        this.durable = durable;
        this.lostAtKill = lostAtKill;
        this.how = how;
    }

    static Engine named(String label) {
        for (Engine engine : values()) {
            if (engine.label.equals(label)) {
                return engine;
            }
        }
        return null;
    }

    String setting(Options options) {
        String flush = options.durable ? "SYNC_FLUSH, group commit by its own thread"
            : "ASYNC_FLUSH every 500 ms";
        String call = options.batch > 1 ? "asyncPutMessages with a MessageExtBatch"
            : "asyncPutMessage";
        return how + "; " + flush + "; " + call + ", message object reused; log files of 1 GiB; "
            + "ReentrantLock; no key index, no statistics of consumers, no replicas, no "
            + "compaction; " + options.javaSetting;
    }

    MessageStoreConfig config(Options options, String directory) {
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(directory);
        config.setStorePathCommitLog(directory + "/commitlog");
        config.setFlushDiskType(options.durable ? FlushDiskType.SYNC_FLUSH
            : FlushDiskType.ASYNC_FLUSH);
        config.setWarmMapedFileEnable(this == WARM);
        config.setTransientStorePoolEnable(this == POOL);
        config.setWriteWithoutMmap(this == CHANNEL);
        config.setEnableAcceleratedRecovery(options.accelerated);
        // What a broker does beside the log and its queues is no part of the comparison.
        config.setMessageIndexEnable(false);
        config.setDiskFallRecorded(false);
        config.setEnableCompaction(false);
        config.setTimerWheelEnable(false);
        // A fetch gives as many messages as are asked for.
        config.setMaxTransferCountOnMessageInMemory(Store.FETCH);
        config.setMaxTransferCountOnMessageInDisk(Store.FETCH);
        config.setMaxTransferBytesOnMessageInMemory(MAX_FETCH_BYTES);
        config.setMaxTransferBytesOnMessageInDisk(MAX_FETCH_BYTES);
        // Nothing is deleted or refused because a small file system is nearly full.
        config.setCleanFileForciblyEnable(false);
        config.setDiskMaxUsedSpaceRatio(MOST_OF_THE_DISK);
        config.setDiskSpaceWarningLevelRatio(MOST_OF_THE_DISK);
        config.setDiskSpaceCleanForciblyRatio(MOST_OF_THE_DISK);
        return config;
    }
}
