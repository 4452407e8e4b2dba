// SPDX-License-Identifier: BSD-2-Clause
package bench;

import com.alibaba.fastjson2.JSON;
import java.util.LinkedHashMap;
import java.util.Map;

/** The one line of JSON that a run prints; names as in bench/support/bench.c. */
final class Line {
    private final Map<String, Object> values = new LinkedHashMap<>();

    Line(String question, Options options) {
        Engine engine = options.engine;
        boolean durable = options.durable;
        put("question", question);
        put("engine", engine.label);
        put("family", "RocketMQ");
        put("version", Store.version());
        put("setting", engine.setting(options));
        put("lost_at_kill", durable ? "nothing" : engine.lostAtKill);
        put("lost_at_power_cut", durable ? "nothing" : "what was not flushed yet");
        put("batch", options.batch);
        put("verifies", false);
        put("promise", durable ? "durable" : "async");
        put("records", options.records);
        put("bytes", options.bytes);
        put("threads", options.threads);
        put("queues", options.queues);
    }

    void put(String name, Object value) {
        values.put(name, value);
    }

    void print() {
        System.out.println(JSON.toJSONString(values));
    }
}
