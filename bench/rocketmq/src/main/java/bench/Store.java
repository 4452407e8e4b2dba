// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExtBatch;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.GetMessageResult;
import org.apache.rocketmq.store.GetMessageStatus;
import org.apache.rocketmq.store.MappedFileQueue;
import org.apache.rocketmq.store.PutMessageResult;
import org.apache.rocketmq.store.PutMessageStatus;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

/**
 * RocketMQ's DefaultMessageStore with one topic, as a broker opens it. Several writers append at
 * once; each is used by one thread.
 */
final class Store {
    static final int FETCH = 1024; // messages of one getMessage

    private static final String TOPIC = "bench";
    private static final String GROUP = "readers";
    private static final InetSocketAddress HOST = new InetSocketAddress("127.0.0.1", 0);
    // Where the length of the body stands in a message with IPv4 addresses: MessageExtEncoder.
    private static final int BODY_BYTES_AT = 84;
    private static final int BODY_CRC_AT = 8;
    private static final int BODY_AT = BODY_BYTES_AT + Integer.BYTES;
    // Around the body of a message in a batch, without properties: MessageDecoder.encodeMessage.
    static final int BATCHED_BYTES = 22;
    private static final int BATCHED_HEAD_BYTES = 20;
    private static final long POLL_NS = 100_000;
    private static final long PATIENCE_NS = 120_000_000_000L; // until the first file is there
    private static final int MOST_REFUSALS = 20;

    /** For each message of a scan; the body stands at `at` in the buffer. */
    interface Visit {
        void see(long offset, ByteBuffer buffer, int at, int bytes, int crc);
    }

    private final Options options;
    private final Path directory;
    private final MessageStoreConfig config;
    private final DefaultMessageStore store;
    private final BrokerStatsManager statistics;
    private long loadNs;

    /** What is in the directory, or nothing yet; not opened. */
    Store(Options options, Path directory) {
        this.options = options;
        this.directory = directory;
        this.config = options.engine.config(options, directory.toString());
        this.statistics = new BrokerStatsManager("bench", false);
        ConcurrentMap<String, TopicConfig> topics = new ConcurrentHashMap<>();
        topics.put(TOPIC, new TopicConfig(TOPIC, options.queues, options.queues));
        try {
            store = new DefaultMessageStore(config, statistics,
                (topic, queue, offset, tags, time, filter, properties) -> { },
                new BrokerConfig(), topics);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    static String version() {
        String jar = DefaultMessageStore.class.getProtectionDomain().getCodeSource().getLocation()
            .getPath();
        return "rocketmq-store " + jar.replaceAll(".*rocketmq-store-(.*)\\.jar", "$1")
            + ", Java " + System.getProperty("java.version");
    }

    Store open() {
        long begin = System.nanoTime();
        if (!store.load()) {
            throw new IllegalStateException("load failed: " + directory);
        }
        loadNs = System.nanoTime() - begin;
        try {
            store.start();
        } catch (Exception e) { // as it is declared
            throw new IllegalStateException("start failed: " + directory, e);
        }
        return this;
    }

    /** How long the store took to load and recover what is there. */
    long loadNs() {
        return loadNs;
    }

    /** The first file is there, and the one behind it as far as the engine prepares it. */
    Store prepare() {
        long deadline = System.nanoTime() + PATIENCE_NS;
        while (!store.getCommitLog().getLastMappedFile(0) || !nextIsPrepared()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("no log file could be made: " + directory);
            }
            LockSupport.parkNanos(50 * POLL_NS);
        }
        if (options.engine == Engine.WARM) {
            sync();
        }
        return this;
    }

    /** The zeros are on the disk: the first flush has only records to write. */
    private void sync() {
        try (Stream<Path> files = Files.list(directory.resolve("commitlog"))) {
            for (Path file : files.toList()) {
                try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                    channel.force(false);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private boolean nextIsPrepared() {
        return options.engine != Engine.WARM
            || Machine.treeBytes(directory.resolve("commitlog"))
            >= 2L * config.getMappedFileSizeCommitLog();
    }

    final class Writer {
        private final MessageExtBrokerInner message;
        private final int eachBytes = options.bytes + BATCHED_BYTES;
        private byte[] body;

        Writer() {
            message = options.batch > 1 ? new MessageExtBatch() : new MessageExtBrokerInner();
            message.setTopic(TOPIC);
            message.setBornHost(HOST);
            message.setStoreHost(HOST);
            message.setBornTimestamp(System.currentTimeMillis());
            message.setPropertiesString("");
            MessageAccessor.setProperties(message, new HashMap<>());
        }

        /**
         * `count` records, the first of which is number `record`, as one message or one batch. It
         * is put again, as a producer does, when the store has no file for it within 5 seconds.
         */
        CompletableFuture<PutMessageResult> put(int queue, long record, int count) {
            CompletableFuture<PutMessageResult> put = putOnce(queue, record, count);
            for (int i = 0; i < MOST_REFUSALS && isRefused(put); i++) {
                put = putOnce(queue, record, count);
            }
            return put;
        }

        private static boolean isRefused(CompletableFuture<PutMessageResult> put) {
            return put.isDone() && put.join().getPutMessageStatus()
                == PutMessageStatus.CREATE_MAPPED_FILE_FAILED;
        }

        private CompletableFuture<PutMessageResult> putOnce(int queue, long record, int count) {
            message.setQueueId(queue);
            if (options.batch > 1) {
                encode(record, count);
                message.setBody(body);
                return store.asyncPutMessages((MessageExtBatch) message);
            }
            if (body == null) {
                body = new byte[options.bytes];
            }
            Bodies.copy(record, body, 0, options.bytes);
            message.setBody(body);
            return store.asyncPutMessage(message);
        }

        private void encode(long record, int count) {
            if (body == null || body.length != count * eachBytes) {
                body = new byte[count * eachBytes];
            }
            ByteBuffer batch = ByteBuffer.wrap(body);
            for (int i = 0; i < count; i++) {
                int at = i * eachBytes;
                batch.putInt(at, eachBytes);
                batch.putInt(at + BATCHED_HEAD_BYTES - Integer.BYTES, options.bytes);
                Bodies.copy(record + i, body, at + BATCHED_HEAD_BYTES, options.bytes);
            }
        }
    }

    static void need(PutMessageResult result) {
        if (!result.isOk()) {
            throw new IllegalStateException("put: " + result.getPutMessageStatus());
        }
    }

    /** All that was appended has been given to the kernel. */
    void drain() {
        MappedFileQueue files = store.getCommitLog().getMappedFileQueue();
        while (options.engine == Engine.POOL && files.remainHowManyDataToCommit() > 0) {
            files.commit(0);
        }
    }

    /** All that was appended is found by its queue. */
    void dispatched() {
        drain();
        while (store.dispatchBehindBytes() > 0) {
            LockSupport.parkNanos(POLL_NS);
        }
    }

    /** How many messages the queue has from there. */
    long scan(int queue, long from, Visit visit) {
        long offset = from;
        while (true) {
            GetMessageResult found = store.getMessage(GROUP, TOPIC, queue, offset, FETCH, null);
            if (found.getStatus() != GetMessageStatus.FOUND) {
                if (found.getStatus() != GetMessageStatus.OFFSET_OVERFLOW_ONE) {
                    throw new IllegalStateException("get: " + found.getStatus());
                }
                return offset - from;
            }
            try {
                for (ByteBuffer message : found.getMessageBufferList()) {
                    show(message, offset++, visit);
                }
            } finally {
                found.release();
            }
        }
    }

    void get(int queue, long offset, Visit visit) {
        GetMessageResult found = store.getMessage(GROUP, TOPIC, queue, offset, 1, null);
        if (found.getStatus() != GetMessageStatus.FOUND) {
            throw new IllegalStateException("get: " + found.getStatus());
        }
        try {
            show(found.getMessageBufferList().get(0), offset, visit);
        } finally {
            found.release();
        }
    }

    private static void show(ByteBuffer message, long offset, Visit visit) {
        visit.see(offset, message, BODY_AT, message.getInt(BODY_BYTES_AT),
            message.getInt(BODY_CRC_AT));
    }

    void close() {
        store.shutdown();
        statistics.shutdown();
    }
}
