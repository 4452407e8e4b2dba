// SPDX-License-Identifier: BSD-2-Clause
//
// Consuming.java - verbs that receive: each message is said as "msg" as it is handed to the listener,
// with a checksum of its body, its place, and what the listener answered about it.

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.exception.RemotingSendRequestException;

final class Consuming {
    private final Line line;
    private final Stop stop;

    Consuming(Line line, Stop stop) {
        this.line = line;
        this.stop = stop;
    }

    static void say(Line line, String event, MessageExt message, boolean taken) {
        byte[] body = message.getBody();
        String offsetId = message instanceof MessageClientExt
                ? ((MessageClientExt) message).getOffsetMsgId() : message.getMsgId();
        line.say(event, "s", Body.word(body, 0), "i", Body.word(body, 1), "sum", Body.sum(body),
                "topic", message.getTopic(), "q", message.getQueueId(), "off",
                message.getQueueOffset(), "rec", message.getReconsumeTimes(), "tags",
                message.getTags(), "keys", message.getKeys(), "a", message.getProperty("a"),
                "text", message.getProperty("text"), "msgId", message.getMsgId(),
                "offsetMsgId", offsetId, "born", message.getBornTimestamp(), "store",
                message.getStoreTimestamp(), "t", System.currentTimeMillis(), "sys",
                message.getSysFlag(), "taken", taken, "retryTopic",
                message.getProperty("RETRY_TOPIC"), "realTopic", message.getProperty("REAL_TOPIC"));
    }

    private boolean takes(MessageExt message) {
        long times = line.number("fail", 0);
        long every = line.number("failevery", 1);
        String index = Body.word(message.getBody(), 1);
        boolean concerned = index.isEmpty() || Long.parseLong(index) % every == 0;
        return !concerned || message.getReconsumeTimes() >= times;
    }

    /** setMessageModel(BROADCASTING); the package of its type is not the same in all versions. */
    private static void broadcast(DefaultMQPushConsumer consumer) throws Exception {
        for (Method method : DefaultMQPushConsumer.class.getMethods()) {
            if (method.getName().equals("setMessageModel")) {
                for (Object model : method.getParameterTypes()[0].getEnumConstants()) {
                    if (model.toString().equals("BROADCASTING")) {
                        method.invoke(consumer, model);
                    }
                }
            }
        }
    }

    /** A push consumer, until told to stop. */
    void consume() throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(line.text("group"), Hook.of(line),
                new AllocateMessageQueueAveragely());
        consumer.setInstanceName("agent" + line.text("instance", line.id));
        consumer.setConsumeFromWhere(line.text("from", "first").equals("first")
                ? ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET
                : ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
        if (line.text("model", "").equals("broadcasting")) {
            broadcast(consumer);
        }
        if (line.has("maxrec")) {
            consumer.setMaxReconsumeTimes((int) line.number("maxrec", 16));
        }
        if (line.has("sql")) {
            consumer.subscribe(line.text("topic"), MessageSelector.bySql(line.text("sql")));
        } else {
            consumer.subscribe(line.text("topic"), line.text("tags", "*"));
        }
        if (line.text("mode", "").equals("orderly")) {
            consumer.setSuspendCurrentQueueTimeMillis(200);
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                for (MessageExt message : messages) {
                    boolean taken = takes(message);
                    say(line, "msg", message, taken);
                    if (!taken) {
                        return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                    }
                }
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                context.setDelayLevelWhenNextConsume((int) line.number("retrylevel", 1));
                for (MessageExt message : messages) {
                    boolean taken = takes(message);
                    say(line, "msg", message, taken);
                    if (!taken) {
                        return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    }
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        consumer.start();
        line.say("started");
        stop.await();
        consumer.shutdown();
    }

    /** A pull consumer that takes part in its group, until told to stop. */
    void lite() throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(line.text("group"), Hook.of(line));
        consumer.setInstanceName("agent" + line.id);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(line.text("topic"), line.text("tags", "*"));
        consumer.start();
        line.say("started");
        while (!stop.asked()) {
            for (MessageExt message : consumer.poll(200)) {
                say(line, "msg", message, true);
            }
        }
        consumer.commitSync();
        consumer.shutdown();
    }

    /** A pull consumer that chose its queues itself and begins in the middle of each. */
    void assign() throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(line.text("group"), Hook.of(line));
        consumer.setInstanceName("agent" + line.id);
        consumer.setAutoCommit(false);
        consumer.start();
        Collection<MessageQueue> all = consumer.fetchMessageQueues(line.text("topic"));
        List<MessageQueue> queues = new ArrayList<>(all);
        consumer.assign(queues);
        for (MessageQueue queue : queues) {
            seek(consumer, queue, line.number("offset", 0));
        }
        line.say("started", "queues", queues.size());
        while (!stop.asked()) {
            for (MessageExt message : consumer.poll(200)) {
                say(line, "msg", message, true);
            }
        }
        consumer.shutdown();
    }

    /**
     * seek() interrupts the client's own pull of the queue. A pull that is about to send takes that
     * for a failed send and closes the connection it shares with all others, so that the requests
     * by which the next seek() begins may fail at once, whatever the broker does.
     */
    private static void seek(DefaultLitePullConsumer consumer, MessageQueue queue, long offset)
            throws Exception {
        for (int attempt = 1; ; attempt++) {
            try {
                consumer.seek(queue, offset);
                return;
            } catch (MQClientException error) {
                if (attempt == 5 || !(error.getCause() instanceof RemotingSendRequestException)) {
                    throw error;
                }
            }
        }
    }

    /** Answers each request with the reverse of its body. */
    void respond() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(line.text("group") + "-answers");
        producer.setInstanceName("agent" + line.id);
        producer.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(line.text("group"), Hook.of(line),
                new AllocateMessageQueueAveragely());
        consumer.setInstanceName("agent" + line.id);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(line.text("topic"), "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                byte[] body = message.getBody().clone();
                for (int i = 0, j = body.length - 1; i < j; i++, j--) {
                    byte b = body[i];
                    body[i] = body[j];
                    body[j] = b;
                }
                try {
                    Message answer = MessageUtil.createReplyMessage(message, body);
                    producer.send(answer, 3000);
                    say(line, "msg", message, true);
                } catch (Exception error) {
                    line.fail(error);
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        line.say("started");
        stop.await();
        consumer.shutdown();
        producer.shutdown();
    }
}
