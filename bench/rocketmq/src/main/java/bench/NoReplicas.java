// SPDX-License-Identifier: BSD-2-Clause
package bench;

import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.ha.DefaultHAService;

/**
 * In place of the service that waits for replicas on a port: a store without a network. RocketMQ
 * finds it by META-INF/service. With the role ASYNC_MASTER no append waits for what it does.
 */
public final class NoReplicas extends DefaultHAService {
    @Override
    public void init(DefaultMessageStore store) {
        this.defaultMessageStore = store;
    }

    @Override
    public void start() {
        // No port is opened.
    }
}
