// SPDX-License-Identifier: BSD-2-Clause
//
// Agent.java - one process with an unmodified RocketMQ client in it, told by lines on its standard
// input what to do (Line.java), so that many cases share the start of one Java machine.
//
//   ID produce|transact|request|consume|lite|assign|respond|find|offsets|admin NAME=VALUE...
//   ID stop of=ID      ends a verb that goes on
//
// Each verb runs in a thread of its own, says what happens, and at last "end". End of input ends all.

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.command.MQAdminStartup;

public final class Agent {
    private static final Map<String, Stop> running = new ConcurrentHashMap<>();

    private Agent() {
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            Line line = new Line(text);
            if (line.verb.equals("stop")) {
                running.get(line.text("of")).ask();
                continue;
            }
            Stop stop = new Stop();
            running.put(line.id, stop);
            Thread thread = new Thread(() -> run(line, stop), "verb-" + line.id);
            thread.setDaemon(true);
            thread.start();
        }
        System.exit(0);
    }

    private static void run(Line line, Stop stop) {
        try {
            dispatch(line, stop);
        } catch (Throwable error) {
            line.fail(error);
        }
        line.say("end");
    }

    private static void dispatch(Line line, Stop stop) throws Exception {
        switch (line.verb) {
            case "produce":
                new Producing(line, stop).produce();
                break;
            case "transact":
                new Producing(line, stop).transact();
                break;
            case "request":
                new Producing(line, stop).request();
                break;
            case "consume":
                new Consuming(line, stop).consume();
                break;
            case "lite":
                new Consuming(line, stop).lite();
                break;
            case "assign":
                new Consuming(line, stop).assign();
                break;
            case "respond":
                new Consuming(line, stop).respond();
                break;
            case "find":
                find(line);
                break;
            case "offsets":
                offsets(line);
                break;
            case "admin":
                admin(line);
                break;
            default:
                throw new IllegalArgumentException(line.verb);
        }
    }

    private static DefaultMQProducer begin(Line line) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("asking-" + line.id, Hook.of(line));
        producer.setInstanceName("agent" + line.id);
        producer.start();
        return producer;
    }

    /** By id (of either kind) or by key. */
    private static void find(Line line) throws Exception {
        DefaultMQProducer producer = begin(line);
        try {
            if (line.has("msgid")) {
                MessageExt one = producer.viewMessage(line.text("topic"), line.text("msgid"));
                if (one != null) {
                    Consuming.say(line, "msg", one, true);
                }
                return;
            }
            List<MessageExt> found = producer.queryMessage(line.text("topic"), line.text("key"),
                    (int) line.number("max", 64), line.number("begin", 0),
                    line.number("end", System.currentTimeMillis() + 60000)).getMessageList();
            for (MessageExt message : found) {
                Consuming.say(line, "msg", message, true);
            }
        } finally {
            producer.shutdown();
        }
    }

    private static void offsets(Line line) throws Exception {
        DefaultMQProducer producer = begin(line);
        try {
            for (MessageQueue queue : producer.fetchPublishMessageQueues(line.text("topic"))) {
                line.say("queue", "q", queue.getQueueId(), "broker", queue.getBrokerName(), "min",
                        producer.minOffset(queue), "max", producer.maxOffset(queue), "found",
                        producer.searchOffset(queue, line.number("time", 0)), "earliest",
                        producer.earliestMsgStoreTime(queue));
            }
        } finally {
            producer.shutdown();
        }
    }

    /**
     * mqadmin, as its script starts it; what it prints is said. One at a time. Some of its commands
     * end the process; what they printed is said all the same.
     */
    private static synchronized void admin(Line line) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream capture = new PrintStream(bytes);
        Thread atExit = new Thread(() -> line.say("output", "text", bytes.toString()));
        Runtime.getRuntime().addShutdownHook(atExit);
        System.setOut(capture);
        System.setErr(capture);
        try {
            MQAdminStartup.main(line.text("words").split("\u001f"));
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        capture.flush();
        Runtime.getRuntime().removeShutdownHook(atExit);
        line.say("output", "text", bytes.toString());
    }
}
