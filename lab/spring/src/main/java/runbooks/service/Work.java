// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import io.github.resilience4j.circuitbreaker.CallNotPermittedException;
import io.github.resilience4j.circuitbreaker.CircuitBreaker;
import java.util.Map;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.http.HttpStatus;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

/** What the service does for its users: a query behind the circuit breaker, and events. */
@RestController
@RequestMapping("/api")
class Work {

    private final Settings settings;
    private final CircuitBreaker breaker;
    private final ObjectProvider<JdbcTemplate> database;
    private final ObjectProvider<KafkaTemplate<String, String>> events;

    Work(Settings settings, CircuitBreaker breaker, ObjectProvider<JdbcTemplate> database,
            ObjectProvider<KafkaTemplate<String, String>> events) {
        this.settings = settings;
        this.breaker = breaker;
        this.database = database;
        this.events = events;
    }

    /** Who answers, after a query that takes {@code seconds}. */
    @GetMapping("/work")
    Map<String, String> work(@RequestParam(defaultValue = "0") double seconds) {
        try {
            breaker.executeRunnable(() -> query(seconds));
        } catch (CallNotPermittedException error) {
            throw new ResponseStatusException(HttpStatus.SERVICE_UNAVAILABLE, error.getMessage());
        }
        return Map.of("service", settings.name(), "version", settings.version());
    }

    @PostMapping("/events")
    @ResponseStatus(HttpStatus.ACCEPTED)
    Map<String, Integer> publish(@RequestParam(defaultValue = "1") int count) {
        for (int number = 0; number < count; number++) {
            events.getObject().send(settings.topic(), "event " + number);
        }
        return Map.of("published", count);
    }

    private void query(double seconds) {
        database.ifAvailable(template -> template.queryForList("select pg_sleep(?)", seconds));
    }
}
