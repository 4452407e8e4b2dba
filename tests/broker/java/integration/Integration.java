// SPDX-License-Identifier: BSD-2-Clause
//
// Integration.java - runs the test classes that it is given and says one line about each test:
// a tab, "test", class, method, "passed", "failed" or "skipped", and the message.

import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

public final class Integration {
    private Integration() {
    }

    private static synchronized void say(Description test, String state, String text) {
        System.out.println("\ttest\t" + test.getClassName() + "\t" + test.getMethodName() + "\t"
                + state + "\t" + (text == null ? "" : text.replaceAll("\\s+", " ")));
    }

    public static void main(String[] classes) throws Exception {
        JUnitCore core = new JUnitCore();
        core.addListener(new RunListener() {
            private boolean failed;

            @Override
            public void testStarted(Description test) {
                failed = false;
            }

            @Override
            public void testFailure(Failure failure) {
                failed = true;
                say(failure.getDescription(), "failed", failure.getException().toString());
            }

            @Override
            public void testAssumptionFailure(Failure failure) {
                failed = true;
                say(failure.getDescription(), "skipped", failure.getMessage());
            }

            @Override
            public void testIgnored(Description test) {
                say(test, "skipped", "ignored by its author");
            }

            @Override
            public void testFinished(Description test) {
                if (!failed) {
                    say(test, "passed", "");
                }
            }
        });
        for (String name : classes) {
            core.run(Class.forName("org.apache.rocketmq.test." + name));
        }
        System.exit(0);
    }
}
