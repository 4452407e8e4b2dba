// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.function.Supplier;

/**
 * RocketMQ's own store, driven in this process, for the questions of the C programs in bench/:
 * `rocketmq QUESTION --options` prints one line of JSON like theirs. An error ends the run: a text
 * on stderr and exit status 1. Bad arguments: exit status 2.
 */
public final class Main {
    private static final int EXIT_USAGE = 2;
    private static final String FILL = "fill"; // what `reopen` starts in another process

    private record Question(Supplier<Options> defaults, BiConsumer<Options, Line> run,
                            List<String> has) {
    }

    private static final Map<String, Question> QUESTIONS = new LinkedHashMap<>();

    static {
        add("append", Append::defaults, Append::run, "records", "bytes", "threads", "batch");
        add("durable", Durable::defaults, Durable::run, "seconds", "records", "bytes", "threads",
            "batch", "in-flight");
        add("read", Read::defaults, Read::run, "records", "bytes", "passes", "random", "gets");
        add("queues", Queues::defaults, Queues::run, "records", "bytes", "queues",
            "passes");
        add("reopen", Reopen::defaults, Reopen::run, "records", "bytes", "queues", "durable",
            "accelerated");
        add(FILL, Reopen::defaults, null, "records", "bytes", "queues", "durable");
    }

    private Main() {
    }

    private static void add(String name, Supplier<Options> defaults,
                            BiConsumer<Options, Line> run, String... has) {
        TreeSet<String> all = new TreeSet<>(List.of(has));
        all.addAll(List.of("engine", "directory", "unpinned"));
        QUESTIONS.put(name, new Question(defaults, run, List.copyOf(all)));
    }

    public static void main(String[] arguments) {
        int status = 1;
        try {
            answer(arguments);
            status = 0;
        } catch (Options.Usage e) {
            System.err.println("rocketmq: " + e.getMessage());
            status = EXIT_USAGE;
        } catch (Throwable e) { // whatever a thread of the benchmark has thrown
            e.printStackTrace();
        }
        // Threads that RocketMQ leaves behind do not keep the process.
        Runtime.getRuntime().halt(status);
    }

    private static void answer(String[] arguments) {
        Question question = arguments.length > 0 ? QUESTIONS.get(arguments[0]) : null;
        if (question == null) {
            throw new Options.Usage("which question? There are: "
                + String.join(" ", QUESTIONS.keySet()));
        }
        Options options = question.defaults.get();
        options.read(arguments, new TreeSet<>(question.has));
        if (!question.has.contains("queues")) {
            options.queues = options.threads;
        }
        if (arguments[0].equals(FILL)) {
            Reopen.fill(options);
            return;
        }
        Machine.check();
        options.makeDirectory(arguments[0]);
        try {
            Line line = new Line(arguments[0], options);
            question.run.accept(options, line);
            line.print();
            System.out.flush();
        } finally {
            Machine.removeTree(options.directory);
        }
    }
}
