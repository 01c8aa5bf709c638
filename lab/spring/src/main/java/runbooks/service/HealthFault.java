// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import org.springframework.boot.actuate.health.Health;
import org.springframework.boot.actuate.health.HealthIndicator;
import org.springframework.boot.actuate.health.Status;
import org.springframework.stereotype.Component;

/** The component "service" of the health: UP, or whatever status is asked for. */
@Component("serviceHealthIndicator")
class HealthFault implements HealthIndicator, Fault {

    private volatile Status status = Status.UP;

    @Override
    public Health health() {
        Health.Builder answer = Health.status(status);
        return (status.equals(Status.UP) ? answer : answer.withDetail("reason", "fault 'health' is set")).build();
    }

    @Override
    public String name() {
        return "health";
    }

    @Override
    public String describe() {
        return "status of the component 'service': DOWN, OUT_OF_SERVICE, UNKNOWN or one of your own";
    }

    @Override
    public void set(String value) {
        if (!value.matches("[A-Z][A-Z_]{0,40}")) {
            throw new IllegalArgumentException("expected a status such as DOWN, found '" + value + "'");
        }
        status = new Status(value);
    }

    @Override
    public void clear() {
        status = Status.UP;
    }
}
