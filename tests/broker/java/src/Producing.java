// SPDX-License-Identifier: BSD-2-Clause
//
// Producing.java - verbs that send: messages by seed in each way that a client can send them.
// What was acknowledged is said as "ack", with the number of the message and the place it was given.

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

final class Producing {
    private final Line line;
    private final Stop stop;
    private final String topic;
    private final String seed;
    private final String[] tags;

    Producing(Line line, Stop stop) {
        this.line = line;
        this.stop = stop;
        topic = line.text("topic", "");
        seed = line.text("seed", "0");
        tags = line.text("tags", "").split(",");
    }

    private Message message(long index) throws Exception {
        int size = (int) line.number("max", 200);
        Message message = new Message(topic, Body.of(seed, index, size));
        String tag = tags[(int) (index % tags.length)];
        if (!tag.isEmpty()) {
            message.setTags(tag);
        }
        if (line.has("key")) {
            message.setKeys(line.text("key") + index + " " + line.text("key") + "all");
        }
        message.putUserProperty("a", String.valueOf(index % 10));
        if (line.has("property")) {
            message.putUserProperty("text", line.text("property"));
        }
        if (line.has("delay")) {
            message.setDelayTimeLevel((int) line.number("delay", 0));
        }
        if (line.has("timer")) {
            Method method = Message.class.getMethod("setDelayTimeMs", long.class);
            method.invoke(message, line.number("timer", 0));
        }
        return message;
    }

    private DefaultMQProducer begin() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(line.text("group", "P-" + seed), Hook.of(line));
        producer.setInstanceName("agent" + line.id);
        producer.setSendMsgTimeout((int) line.number("timeout", 10000));
        if (line.has("limit")) {
            producer.setMaxMessageSize((int) line.number("limit", 0));
            producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        }
        producer.start();
        return producer;
    }

    private void acknowledged(long index, SendResult result) {
        MessageQueue queue = result.getMessageQueue();
        line.say("ack", "i", index, "status", result.getSendStatus(), "msgId", result.getMsgId(),
                "offsetMsgId", result.getOffsetMsgId(), "q", queue == null ? -1 : queue.getQueueId(),
                "off", result.getQueueOffset(), "t", System.currentTimeMillis());
    }

    /** Sends n messages; with again=1 each is sent again until it is acknowledged. */
    void produce() throws Exception {
        DefaultMQProducer producer = begin();
        try {
            long from = line.number("from", 0);
            long until = from + line.number("n", 1);
            String mode = line.text("mode", "sync");
            if (mode.equals("async")) {
                async(producer, from, until);
                return;
            }
            int step = mode.equals("batch") ? (int) line.number("batch", 8) : 1;
            for (long i = from; i < until && !stop.asked(); i += step) {
                one(producer, mode, i, (int) Math.min(step, until - i));
                Thread.sleep(line.number("pause", 0));
            }
        } finally {
            producer.shutdown();
        }
    }

    private void one(DefaultMQProducer producer, String mode, long index, int count)
            throws Exception {
        do {
            try {
                send(producer, mode, index, count);
                return;
            } catch (Exception error) {
                line.fail(error, "i", index);
                Thread.sleep(line.number("again", 0) * 100);
            }
        } while (line.has("again") && !stop.asked());
    }

    private void send(DefaultMQProducer producer, String mode, long index, int count)
            throws Exception {
        switch (mode) {
            case "sync":
                acknowledged(index, producer.send(message(index)));
                break;
            case "oneway":
                producer.sendOneway(message(index));
                line.say("sent", "i", index);
                break;
            case "queue":
                acknowledged(index, producer.send(message(index), new MessageQueue(topic,
                        line.text("broker"), (int) line.number("queue", 0))));
                break;
            case "ordered":
                acknowledged(index, producer.send(message(index), (queues, message, stream) -> {
                    Collections.sort(queues);
                    return queues.get((int) ((Long) stream % queues.size()));
                }, index % line.number("streams", 1)));
                break;
            case "batch":
                List<Message> batch = new ArrayList<>();
                for (int i = 0; i < count; i++) {
                    batch.add(message(index + i));
                }
                SendResult result = producer.send(batch);
                line.say("batch", "i", index, "n", count, "status", result.getSendStatus(), "msgId",
                        result.getMsgId(), "offsetMsgId", result.getOffsetMsgId(), "q",
                        result.getMessageQueue().getQueueId(), "off", result.getQueueOffset());
                break;
            default:
                throw new IllegalArgumentException(mode);
        }
    }

    private void async(DefaultMQProducer producer, long from, long until) throws Exception {
        CountDownLatch left = new CountDownLatch((int) (until - from));
        for (long i = from; i < until; i++) {
            long index = i;
            producer.send(message(i), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    acknowledged(index, result);
                    left.countDown();
                }

                @Override
                public void onException(Throwable error) {
                    line.fail(error, "i", index);
                    left.countDown();
                }
            });
        }
        left.await(60, TimeUnit.SECONDS);
    }

    /**
     * Message i is committed at once if i % 4 is 0, rolled back at once if 1; else its state is
     * unknown until the broker asks: then 2 is committed and 3 rolled back, at the second question.
     */
    void transact() throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(line.text("group"), Hook.of(line));
        ConcurrentHashMap<String, Integer> asked = new ConcurrentHashMap<>();
        ExecutorService checks = new ThreadPoolExecutor(1, 4, 9, TimeUnit.SECONDS,
                new SynchronousQueue<>(), new ThreadPoolExecutor.CallerRunsPolicy());
        producer.setExecutorService(checks);
        producer.setInstanceName("agent" + line.id);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object index) {
                long rest = (Long) index % 4;
                return rest == 0 ? LocalTransactionState.COMMIT_MESSAGE
                        : rest == 1 ? LocalTransactionState.ROLLBACK_MESSAGE
                        : LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                long index = Long.parseLong(Body.word(message.getBody(), 1));
                int times = asked.merge(message.getTransactionId(), 1, Integer::sum);
                line.say("check", "i", index, "times", times, "sum", Body.sum(message.getBody()),
                        "topic", message.getTopic(), "tags", message.getTags(),
                        "transactionId", message.getTransactionId(),
                        "group", message.getProperty(MessageConst.PROPERTY_PRODUCER_GROUP));
                return times < 2 ? LocalTransactionState.UNKNOW
                        : index % 4 == 2 ? LocalTransactionState.COMMIT_MESSAGE
                        : LocalTransactionState.ROLLBACK_MESSAGE;
            }
        });
        producer.start();
        try {
            for (long i = 0; i < line.number("n", 1); i++) {
                SendResult result = producer.sendMessageInTransaction(message(i), i);
                line.say("ack", "i", i, "status", result.getSendStatus(), "msgId",
                        result.getMsgId(), "transactionId", result.getTransactionId());
            }
            line.say("sent");
            stop.await();
        } finally {
            producer.shutdown();
            checks.shutdownNow();
        }
    }

    /** Sends requests and waits for the answer of whoever is consumer of the topic. */
    void request() throws Exception {
        DefaultMQProducer producer = begin();
        try {
            for (long i = 0; i < line.number("n", 1); i++) {
                try {
                    Message answer = producer.request(message(i), line.number("wait", 10000));
                    line.say("answer", "i", i, "sum", Body.sum(answer.getBody()));
                } catch (Exception error) {
                    line.fail(error, "i", i);
                }
            }
        } finally {
            producer.shutdown();
        }
    }
}
