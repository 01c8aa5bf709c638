// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Faults of the process itself: its end, and its memory. */
@Configuration(proxyBeanMethods = false)
class ProcessFaults {

    private static final Logger LOG = LoggerFactory.getLogger(ProcessFaults.class);
    private static final long MOMENT_MS = 200;

    @Bean
    Fault crash() {
        return new Fault() {
            @Override
            public String name() {
                return "crash";
            }

            @Override
            public String describe() {
                return "exit code with which the process ends at once";
            }

            @Override
            public void set(String value) {
                int code = (int) Fault.number(value, 0);
                LOG.error("fault 'crash': the process ends with code {}", code);
                Thread end = new Thread(() -> {
                    try {
                        Thread.sleep(MOMENT_MS); // the answer to the request goes out before
                    } catch (InterruptedException error) {
                        // ends at once then
                    }
                    Runtime.getRuntime().halt(code);
                });
                end.start();
            }

            @Override
            public void clear() {
                // there is nothing left to be cleared
            }
        };
    }

    @Bean
    Fault memory() {
        return new Fault() {
            private final List<byte[]> held = new ArrayList<>();

            @Override
            public String name() {
                return "memory";
            }

            @Override
            public String describe() {
                return "megabytes of the heap that are held; more than there are end in an OutOfMemoryError";
            }

            @Override
            public synchronized void set(String value) {
                for (long number = Fault.number(value, 1); number > 0; number--) {
                    held.add(new byte[1 << 20]);
                }
            }

            @Override
            public synchronized void clear() {
                held.clear();
            }
        };
    }
}
