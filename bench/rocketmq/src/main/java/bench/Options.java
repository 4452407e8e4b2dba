// SPDX-License-Identifier: BSD-2-Clause
package bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/** The command line: the words of the C programs; each question says which of them it has. */
final class Options implements Cloneable {
    Engine engine = Engine.MAPPED;
    Path below = Path.of("/tmp");
    Path directory; // made for this run, and removed
    long records;
    int bytes;
    int threads;
    int queues;
    int batch = 1;
    boolean durable;
    double seconds;
    int inFlight = 1;
    int passes;
    boolean random;
    int gets;
    boolean accelerated;
    boolean unpinned;
    final String javaSetting = System.getProperty("bench.java", "");

    private static final double MAX_SECONDS = 1e6;
    private static final long MAX_BATCH_BYTES = 4 * 1024 * 1024; // maxMessageSize

    /** Bad arguments; the text says which. */
    static final class Usage extends RuntimeException {
        private static final long serialVersionUID = 1;

        Usage(String text) {
            super(text);
        }
    }

    /** Reads what follows the question; the fields that are set are the defaults. */
    void read(String[] arguments, Set<String> has) {
        for (int i = 1; i < arguments.length; i++) {
            String name = arguments[i];
            String value = null;
            int equals = name.indexOf('=');
            if (equals > 0) {
                value = name.substring(equals + 1);
                name = name.substring(0, equals);
            }
            if (!name.startsWith("--") || !has.contains(name.substring(2))) {
                throw new Usage(name + ": not an option of " + arguments[0] + "; there are: --"
                    + String.join(" --", has));
            }
            if (!flag(name)) {
                if (value == null && ++i == arguments.length) {
                    throw new Usage(name + ": a value is missing");
                }
                set(name, value != null ? value : arguments[i]);
            }
        }
        check();
    }

    private boolean flag(String name) {
        switch (name) {
            case "--durable" -> durable = true;
            case "--random" -> random = true;
            case "--accelerated" -> accelerated = true;
            case "--unpinned" -> unpinned = true;
            default -> {
                return false;
            }
        }
        return true;
    }

    private void set(String name, String value) {
        switch (name) {
            case "--engine" -> engine = Engine.named(value);
            case "--directory" -> below = Path.of(value);
            case "--seconds" -> setSeconds(value);
            default -> setNumber(name, value);
        }
        if (engine == null) {
            throw new Usage("engine " + value + ": there is none of this name");
        }
    }

    private void setSeconds(String value) {
        try {
            seconds = Double.parseDouble(value);
        } catch (NumberFormatException e) {
            throw new Usage("--seconds: " + value + " is no number");
        }
        if (!(seconds > 0 && seconds <= MAX_SECONDS)) {
            throw new Usage("--seconds: " + value + " is out of range");
        }
    }

    private void setNumber(String name, String value) {
        long number;
        try {
            number = Long.parseLong(value);
        } catch (NumberFormatException e) {
            throw new Usage(name + ": " + value + " is no number");
        }
        if (number < 1 || number > Integer.MAX_VALUE) {
            throw new Usage(name + ": " + value + " is out of range");
        }
        switch (name) {
            case "--records" -> records = number;
            case "--bytes" -> bytes = (int) number;
            case "--threads" -> threads = (int) number;
            case "--queues" -> queues = (int) number;
            case "--batch" -> batch = (int) number;
            case "--in-flight" -> inFlight = (int) number;
            case "--passes" -> passes = (int) number;
            case "--gets" -> gets = (int) number;
            default -> throw new IllegalArgumentException(name);
        }
    }

    private void check() {
        if (bytes > Bodies.MAX || (long) batch * (bytes + Store.BATCHED_BYTES) > MAX_BATCH_BYTES) {
            throw new Usage("--bytes, --batch: a batch may have 4 MiB, a body 64 KiB");
        }
        if (durable && !engine.durable) {
            throw new Usage("engine " + engine.label + ": not durable");
        }
    }

    Options copy() {
        try {
            return (Options) clone();
        } catch (CloneNotSupportedException e) {
            throw new AssertionError(e);
        }
    }

    void makeDirectory(String question) {
        try {
            directory = Files.createTempDirectory(below, "commitlog-rocketmq-" + question + "-");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
