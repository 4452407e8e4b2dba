// SPDX-License-Identifier: BSD-2-Clause
//
// Line.java - what the agent is told and what it says: lines. Told is "ID VERB NAME=VALUE...", with
// values in percent encoding; said is one JSON object a line, with the id that it belongs to.
// Said from any thread, a whole line at a time, under the lock of `out`.

import java.io.PrintStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

final class Line {
    private static final PrintStream out = System.out;

    final String id;
    final String verb;
    private final Map<String, String> values = new HashMap<>();

    Line(String text) throws Exception {
        String[] words = text.trim().split(" ");
        id = words[0];
        verb = words[1];
        for (int i = 2; i < words.length; i++) {
            int equal = words[i].indexOf('=');
            values.put(words[i].substring(0, equal),
                    URLDecoder.decode(words[i].substring(equal + 1), "UTF-8"));
        }
    }

    boolean has(String name) {
        return values.containsKey(name);
    }

    String text(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    String text(String name) {
        if (!values.containsKey(name)) {
            throw new IllegalArgumentException(verb + " needs " + name);
        }
        return values.get(name);
    }

    long number(String name, long otherwise) {
        return values.containsKey(name) ? Long.parseLong(values.get(name)) : otherwise;
    }

    void say(String event, Object... pairs) {
        StringBuilder line = new StringBuilder("{\"id\":");
        quote(line, id);
        line.append(",\"ev\":");
        quote(line, event);
        for (int i = 0; i < pairs.length; i += 2) {
            line.append(',');
            quote(line, (String) pairs[i]);
            line.append(':');
            value(line, pairs[i + 1]);
        }
        line.append('}');
        synchronized (out) {
            out.write(10);
            byte[] bytes = line.toString().getBytes(StandardCharsets.UTF_8);
            out.write(bytes, 0, bytes.length);
            out.write(10);
            out.flush();
        }
    }

    void fail(Throwable error, Object... pairs) {
        Object[] all = new Object[pairs.length + 4];
        System.arraycopy(pairs, 0, all, 0, pairs.length);
        Throwable first = error;
        int code = code(error);
        while (code < 0 && first.getCause() != null) {
            first = first.getCause();
            code = code(first);
        }
        all[pairs.length] = "error";
        all[pairs.length + 1] = chain(error);
        all[pairs.length + 2] = "code";
        all[pairs.length + 3] = code;
        say("fail", all);
    }

    private static String chain(Throwable error) {
        StringBuilder text = new StringBuilder();
        for (Throwable link = error; link != null; link = link.getCause()) {
            text.append(link == error ? "" : "; because of ")
                    .append(link.getClass().getSimpleName()).append(": ").append(link.getMessage());
        }
        return text.toString();
    }

    private static int code(Throwable error) {
        try {
            return (Integer) error.getClass().getMethod("getResponseCode").invoke(error);
        } catch (ReflectiveOperationException none) {
            return -1;
        }
    }

    private static void value(StringBuilder line, Object value) {
        if (value == null || value instanceof Number || value instanceof Boolean) {
            line.append(value);
        } else {
            quote(line, value.toString());
        }
    }

    private static void quote(StringBuilder line, String text) {
        line.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                line.append('\\').append(c);
            } else if (c < 32) {
                line.append(String.format("\\u%04x", (int) c));
            } else {
                line.append(c);
            }
        }
        line.append('"');
    }
}
