// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.Ordered;
import org.springframework.core.annotation.Order;
import org.springframework.stereotype.Component;
import org.springframework.web.filter.OncePerRequestFilter;

/** Faults of the answers: slow, never, refused, or those of another product. */
@Configuration(proxyBeanMethods = false)
class WebFaults {

    private static final Pattern PROBES = Pattern.compile("/actuator/health/(liveness|readiness)");
    private static final long LONGEST_HANG_MS = TimeUnit.MINUTES.toMillis(10);

    @Bean
    Amount latency() {
        return new Amount("latency", "milliseconds that every answer under /api takes longer");
    }

    @Bean
    Amount slow() {
        return new Amount("slow", "milliseconds that every answer under /actuator takes longer");
    }

    @Bean
    Amount errors() {
        return new Amount("errors", "percent of the requests under /api that are answered with 500");
    }

    @Bean
    Chosen actuator() {
        return new Chosen();
    }

    /** A number: milliseconds, percent. */
    static class Amount implements Fault {

        private final String name;
        private final String description;
        private volatile long number;

        Amount(String name, String description) {
            this.name = name;
            this.description = description;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public String describe() {
            return description;
        }

        @Override
        public void set(String value) {
            number = Fault.number(value, 1);
        }

        @Override
        public void clear() {
            number = 0;
        }
    }

    /** What /actuator answers instead. */
    static class Chosen implements Fault {

        private volatile String value = "";

        @Override
        public String name() {
            return "actuator";
        }

        @Override
        public String describe() {
            return "what /actuator, but not liveness and readiness, answers: 401, 403, 404, 500, html (another product),"
                    + " hang (nothing)";
        }

        @Override
        public void set(String wanted) {
            if (!wanted.matches("401|403|404|500|html|hang")) {
                throw new IllegalArgumentException("expected one of 401, 403, 404, 500, html, hang");
            }
            value = wanted;
        }

        @Override
        public void clear() {
            value = "";
        }
    }

    /** Before everything else, as a gateway or a security filter would be. */
    @Component
    @Order(Ordered.HIGHEST_PRECEDENCE)
    static class Filter extends OncePerRequestFilter {

        private final Amount latency;
        private final Amount slow;
        private final Amount errors;
        private final Chosen actuator;

        Filter(Amount latency, Amount slow, Amount errors, Chosen actuator) {
            this.latency = latency;
            this.slow = slow;
            this.errors = errors;
            this.actuator = actuator;
        }

        @Override
        protected void doFilterInternal(
                HttpServletRequest request, HttpServletResponse response, FilterChain chain)
                throws ServletException, IOException {
            String path = request.getRequestURI();
            if (path.startsWith("/api")) {
                pause(latency.number);
                if (ThreadLocalRandom.current().nextInt(100) < errors.number) {
                    response.sendError(HttpServletResponse.SC_INTERNAL_SERVER_ERROR);
                    return;
                }
            } else if (path.startsWith("/actuator")) {
                pause(slow.number);
                if (!actuator.value.isEmpty() && !PROBES.matcher(path).matches()) {
                    answerInstead(request, response);
                    return;
                }
            }
            chain.doFilter(request, response);
        }

        private void answerInstead(HttpServletRequest request, HttpServletResponse response) throws IOException {
            switch (actuator.value) {
                case "hang" -> request.startAsync().setTimeout(LONGEST_HANG_MS);
                case "html" -> {
                    response.setContentType("text/html;charset=utf-8");
                    response.getWriter().write("<!doctype html><title>Welcome</title><h1>Another product</h1>");
                }
                default -> response.sendError(Integer.parseInt(actuator.value));
            }
        }

        private static void pause(long milliseconds) {
            try {
                Thread.sleep(milliseconds);
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
