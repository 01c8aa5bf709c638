// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import java.time.Duration;
import java.util.List;
import org.springframework.boot.context.properties.ConfigurationProperties;

/**
 * The properties {@code service.*}.
 *
 * @param name what it is called, in metrics, in /actuator/info and in its answers
 * @param version what it says its version is
 * @param topic the topic it consumes and publishes to
 * @param consumes whether it has a Kafka listener
 * @param breaker name of its circuit breaker
 * @param token bearer token that the protected paths ask for; empty: none is asked for
 * @param protectedPaths beginnings of the paths that need the token
 * @param required names of properties without which it does not start
 * @param issuer URL of an OpenID issuer that must answer during the start; empty: none is asked
 * @param faults what is wrong with it from the start on, as {@code name=value}
 * @param startDelay how long its start takes longer
 */
@ConfigurationProperties("service")
public record Settings(
        String name,
        String version,
        String topic,
        boolean consumes,
        String breaker,
        String token,
        List<String> protectedPaths,
        List<String> required,
        String issuer,
        List<String> faults,
        Duration startDelay) {
}
