// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import io.github.resilience4j.circuitbreaker.CircuitBreaker;
import io.github.resilience4j.circuitbreaker.CircuitBreakerRegistry;
import java.util.Locale;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.stereotype.Component;

/** The circuit breaker around the work, and the state it is put into. */
@Component
class BreakerFault implements Fault {

    private final CircuitBreaker breaker;

    BreakerFault(CircuitBreaker breaker) {
        this.breaker = breaker;
    }

    @Override
    public String name() {
        return "breaker";
    }

    @Override
    public String describe() {
        return "state of the circuit breaker: open, forced_open, half_open, disabled, metrics_only";
    }

    @Override
    public void set(String value) {
        switch (value.toLowerCase(Locale.ROOT)) {
            case "open" -> breaker.transitionToOpenState();
            case "forced_open" -> breaker.transitionToForcedOpenState();
            case "half_open" -> {
                breaker.transitionToOpenState();
                breaker.transitionToHalfOpenState();
            }
            case "disabled" -> breaker.transitionToDisabledState();
            case "metrics_only" -> breaker.transitionToMetricsOnlyState();
            default -> throw new IllegalArgumentException(
                    "expected open, forced_open, half_open, disabled or metrics_only, found '" + value + "'");
        }
    }

    @Override
    public void clear() {
        breaker.reset();
    }

    @Configuration(proxyBeanMethods = false)
    static class Breaker {

        @Bean
        CircuitBreaker circuitBreaker(CircuitBreakerRegistry registry, Settings settings) {
            return registry.circuitBreaker(settings.breaker());
        }
    }
}
