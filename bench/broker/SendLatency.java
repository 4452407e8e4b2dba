// SPDX-License-Identifier: BSD-2-Clause
// How long a send takes, by percentile, with the official client: its own benchmark tells the mean
// and the longest only.
//
//   java -cp JARS SendLatency.java NAMESRV TOPIC THREADS BYTES RATE WARM_S SECONDS
//
// RATE: sends a second of all threads together, each at its due time; 0: each thread sends as soon as
// it has its answer, as all do in the warm time. A send that is due while its thread still waits for
// an answer counts from when it was due, so a stall of the server is not left out. A send that was
// not answered SEND_OK is counted as failed, and has no latency. Prints "begin" when it begins to
// count, and at the end one line of JSON.
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;

public class SendLatency {
    // 64 steps to each doubling: a value is told within 1.6 %.
    static final int STEPS = 64;
    // Between the warm time, in which all is sent that it takes, and paced sends: so that none of
    // these waits behind what is left of it.
    static final long REST_NS = 1_000_000_000L;

    static class Histogram {
        final long[] counts = new long[STEPS * 64];
        long total;
        long max;

        static int index(long ns) {
            if (ns < STEPS) {
                return (int) Math.max(ns, 0);
            }
            int shift = 63 - Long.numberOfLeadingZeros(ns) - 6;
            return (shift + 1) * STEPS + (int) (ns >>> shift) - STEPS;
        }

        // The highest value that falls where this one falls.
        static long upper(int index) {
            if (index < STEPS) {
                return index;
            }
            int shift = index / STEPS - 1;
            return ((long) (index % STEPS + STEPS + 1) << shift) - 1;
        }

        void add(long ns) {
            counts[index(ns)]++;
            total++;
            max = Math.max(max, ns);
        }

        void add(Histogram other) {
            for (int i = 0; i < counts.length; i++) {
                counts[i] += other.counts[i];
            }
            total += other.total;
            max = Math.max(max, other.max);
        }

        double percentileUs(double share) {
            long wanted = (long) Math.ceil(share * total);
            long seen = 0;
            for (int i = 0; i < counts.length; i++) {
                seen += counts[i];
                if (seen >= wanted && seen > 0) {
                    return Math.min(upper(i), max) / 1e3;
                }
            }
            return 0;
        }
    }

    public static void main(String[] arguments) throws Exception {
        String topic = arguments[1];
        int threads = Integer.parseInt(arguments[2]);
        byte[] body = new byte[Integer.parseInt(arguments[3])];
        long rate = Long.parseLong(arguments[4]);
        long warmNs = Long.parseLong(arguments[5]) * 1_000_000_000L;
        long countedNs = Long.parseLong(arguments[6]) * 1_000_000_000L;
        DefaultMQProducer producer = new DefaultMQProducer("latency");
        producer.setNamesrvAddr(arguments[0]);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        AtomicLong failed = new AtomicLong();
        Histogram[] histograms = new Histogram[threads];
        CountDownLatch ended = new CountDownLatch(threads);
        long counts = System.nanoTime() + warmNs;
        long end = counts + countedNs;
        long warmEnd = rate == 0 ? counts : counts - REST_NS;
        long stepNs = rate == 0 ? 0 : 1_000_000_000L * threads / rate;
        for (int i = 0; i < threads; i++) {
            Histogram histogram = histograms[i] = new Histogram();
            long first = counts + stepNs * i / threads;
            new Thread(() -> {
                long due = first;
                for (;;) {
                    long from = System.nanoTime();
                    if (rate != 0 && from >= warmEnd) {
                        if (from < due) {
                            while (from < due) {
                                LockSupport.parkNanos(due - from);
                                from = System.nanoTime();
                            }
                        } else {
                            from = due;
                        }
                        due += stepNs;
                    }
                    if (from >= end) {
                        break;
                    }
                    boolean stored = false;
                    try {
                        SendResult result = producer.send(new Message(topic, body));
                        stored = result.getSendStatus() == SendStatus.SEND_OK;
                    } catch (Exception error) {
                        // It is counted below.
                    }
                    if (from >= counts && stored) {
                        histogram.add(System.nanoTime() - from);
                    } else if (from >= counts) {
                        failed.incrementAndGet();
                    }
                }
                ended.countDown();
            }).start();
        }
        LockSupport.parkNanos(counts - System.nanoTime());
        System.out.println("begin");
        ended.await();
        double seconds = (System.nanoTime() - counts) / 1e9;
        Histogram all = new Histogram();
        for (Histogram histogram : histograms) {
            all.add(histogram);
        }
        System.out.printf("{\"sent\": %d, \"failed\": %d, \"seconds\": %.3f, \"p50_us\": %.1f, "
            + "\"p99_us\": %.1f, \"p999_us\": %.1f, \"p9999_us\": %.1f, \"max_us\": %.1f}%n",
            all.total, failed.get(), seconds, all.percentileUs(0.5), all.percentileUs(0.99),
            all.percentileUs(0.999), all.percentileUs(0.9999), all.max / 1e3);
        System.exit(0);
    }
}
