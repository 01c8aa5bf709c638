// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.Ordered;
import org.springframework.core.annotation.Order;
import org.springframework.stereotype.Component;
import org.springframework.web.filter.OncePerRequestFilter;

/** Faults of the answers: slow, never, refused, or those of another product. */
@Configuration(proxyBeanMethods = false)
class WebFaults {

    private static final long LONGEST_HANG_MS = TimeUnit.MINUTES.toMillis(10);

    @Bean
    Timed latency() {
        return new Timed("latency", "milliseconds that every answer under /api takes longer");
    }

    @Bean
    Timed slow() {
        return new Timed("slow", "milliseconds that every answer under /actuator takes longer");
    }

    @Bean
    Chosen actuator() {
        return new Chosen();
    }

    /** Milliseconds. */
    static class Timed implements Fault {

        private final String name;
        private final String description;
        private volatile long milliseconds;

        Timed(String name, String description) {
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
            milliseconds = Fault.number(value, 1);
        }

        @Override
        public void clear() {
            milliseconds = 0;
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
            return "what /actuator answers: 401, 403, 404, 500, html (the page of another product), hang (nothing)";
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

        private final Timed latency;
        private final Timed slow;
        private final Chosen actuator;

        Filter(Timed latency, Timed slow, Chosen actuator) {
            this.latency = latency;
            this.slow = slow;
            this.actuator = actuator;
        }

        @Override
        protected void doFilterInternal(
                HttpServletRequest request, HttpServletResponse response, FilterChain chain)
                throws ServletException, IOException {
            String path = request.getRequestURI();
            if (path.startsWith("/api")) {
                pause(latency.milliseconds);
            } else if (path.startsWith("/actuator")) {
                pause(slow.milliseconds);
                if (!actuator.value.isEmpty()) {
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
