// SPDX-License-Identifier: BSD-2-Clause
//
// BaseConf.java - what RocketMQ's integration tests find their servers by. The one in their jar starts
// a name server and three brokers within the process; this one, earlier on the class path, has the same
// members, and points at a server that runs already. The tests themselves are those of the jar.

package org.apache.rocketmq.test.base;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.common.attribute.TopicMessageType;
import org.apache.rocketmq.namesrv.NamesrvController;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.test.client.rmq.RMQAsyncSendProducer;
import org.apache.rocketmq.test.client.rmq.RMQNormalConsumer;
import org.apache.rocketmq.test.client.rmq.RMQNormalProducer;
import org.apache.rocketmq.test.client.rmq.RMQTransactionalProducer;
import org.apache.rocketmq.test.clientinterface.AbstractMQConsumer;
import org.apache.rocketmq.test.clientinterface.AbstractMQProducer;
import org.apache.rocketmq.test.factory.ConsumerFactory;
import org.apache.rocketmq.test.listener.AbstractListener;
import org.apache.rocketmq.test.util.MQAdminTestUtils;
import org.apache.rocketmq.test.util.MQRandomUtils;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

public class BaseConf {
    public static final String NAMESRV_ADDR = System.getenv("NAMESRV_ADDR");
    protected static final String CLUSTER_NAME = System.getProperty("cluster", "DefaultCluster");
    protected static final String BROKER1_NAME = System.getProperty("broker", "broker-a");
    protected static final String BROKER2_NAME = BROKER1_NAME;
    protected static final String BROKER3_NAME = BROKER1_NAME;
    protected static final int BROKER_NUM = 1;
    protected static final int WAIT_TIME = 5;
    protected static final int CONSUME_TIME = 2 * 60 * 1000;
    protected static final int QUEUE_NUMBERS = 8;
    protected static NamesrvController namesrvController;
    protected static BrokerController brokerController1;
    protected static BrokerController brokerController2;
    protected static BrokerController brokerController3;
    protected static List<BrokerController> brokerControllerList = Collections.emptyList();
    protected static Map<String, BrokerController> brokerControllerMap = new HashMap<>();
    protected static List<Object> mqClients = new ArrayList<>();
    protected static boolean debug = false;

    static {
        try {
            MQAdminTestUtils.startAdmin(NAMESRV_ADDR);
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    public static void waitBrokerRegistered(String server, String cluster, int expected) {
    }

    public boolean awaitDispatchMs(long time) throws Exception {
        Thread.sleep(Math.min(time, 200));
        return true;
    }

    public static String initTopic() {
        return initTopicWithName(MQRandomUtils.getRandomTopic());
    }

    public static String initTopic(TopicMessageType type) {
        return initTopicWithName(MQRandomUtils.getRandomTopic(), type);
    }

    public static String initTopicWithName(String topic) {
        return initTopicWithName(topic, TopicMessageType.NORMAL);
    }

    public static String initTopicWithName(String topic, TopicMessageType type) {
        Map<String, String> attributes = new HashMap<>();
        if (type != TopicMessageType.NORMAL) {
            attributes.put("+message.type", type.getValue());
        }
        if (!MQAdminTestUtils.createTopic(NAMESRV_ADDR, CLUSTER_NAME, topic, QUEUE_NUMBERS,
                attributes)) {
            throw new IllegalStateException("no topic " + topic);
        }
        return topic;
    }

    public static String initTopicOnSampleTopicBroker(String sample) {
        return initTopic();
    }

    public static String initTopicOnSampleTopicBroker(String sample, TopicMessageType type) {
        return initTopic(type);
    }

    public static String initTopicOnSampleTopicBroker(String topic, String sample) {
        return initTopicWithName(topic);
    }

    public static String initTopicOnSampleTopicBroker(String topic, String sample,
            TopicMessageType type) {
        return initTopicWithName(topic, type);
    }

    public static String initConsumerGroup() {
        return initConsumerGroup(MQRandomUtils.getRandomConsumerGroup());
    }

    public static String initConsumerGroup(String group) {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        return initConsumerGroup(config);
    }

    public static String initConsumerGroup(SubscriptionGroupConfig config) {
        MQAdminTestUtils.createSub(NAMESRV_ADDR, CLUSTER_NAME, config);
        return config.getGroupName();
    }

    public static DefaultMQAdminExt getAdmin(String server) {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(3 * 1000);
        admin.setNamesrvAddr(server);
        admin.setPollNameServerInterval(100);
        mqClients.add(admin);
        return admin;
    }

    private static <T> T kept(T client) {
        mqClients.add(client);
        return client;
    }

    public static RMQNormalProducer getProducer(String server, String topic) {
        return getProducer(server, topic, false);
    }

    public static RMQNormalProducer getProducer(String server, String topic, boolean tls) {
        return kept(new RMQNormalProducer(server, topic, tls));
    }

    public static RMQNormalProducer getProducer(String server, String topic, String group,
            String instance) {
        return kept(new RMQNormalProducer(server, topic, group, instance));
    }

    public static RMQTransactionalProducer getTransactionalProducer(String server, String topic,
            TransactionListener listener) {
        return kept(new RMQTransactionalProducer(server, topic, false, listener));
    }

    public static RMQAsyncSendProducer getAsyncProducer(String server, String topic) {
        return kept(new RMQAsyncSendProducer(server, topic));
    }

    public static RMQNormalConsumer getConsumer(String server, String topic, String expression,
            AbstractListener listener) {
        return getConsumer(server, topic, expression, listener, false);
    }

    public static RMQNormalConsumer getConsumer(String server, String topic, String expression,
            AbstractListener listener, boolean tls) {
        return getConsumer(server, initConsumerGroup(), topic, expression, listener, tls);
    }

    public static RMQNormalConsumer getConsumer(String server, String group, String topic,
            String expression, AbstractListener listener) {
        return getConsumer(server, group, topic, expression, listener, false);
    }

    public static RMQNormalConsumer getConsumer(String server, String group, String topic,
            String expression, AbstractListener listener, boolean tls) {
        return kept(ConsumerFactory.getRMQNormalConsumer(server, group, topic, expression, listener,
                tls));
    }

    public static void shutdown() {
        shutdown(mqClients);
    }

    public static Set<String> getBrokers() {
        return new HashSet<>(Collections.singleton(BROKER1_NAME));
    }

    public static void shutdown(List<Object> clients) {
        for (Object client : clients) {
            if (client instanceof AbstractMQProducer) {
                ((AbstractMQProducer) client).shutdown();
            } else if (client instanceof AbstractMQConsumer) {
                ((AbstractMQConsumer) client).shutdown();
            } else if (client instanceof DefaultMQAdminExt) {
                ((DefaultMQAdminExt) client).shutdown();
            }
        }
        clients.clear();
    }
}
