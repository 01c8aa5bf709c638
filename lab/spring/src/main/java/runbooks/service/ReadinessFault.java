// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import org.springframework.boot.availability.AvailabilityChangeEvent;
import org.springframework.boot.availability.ReadinessState;
import org.springframework.context.ApplicationContext;
import org.springframework.stereotype.Component;

/** A service that lives and refuses traffic. */
@Component
class ReadinessFault implements Fault {

    private final ApplicationContext context;

    ReadinessFault(ApplicationContext context) {
        this.context = context;
    }

    @Override
    public String name() {
        return "readiness";
    }

    @Override
    public String describe() {
        return "REFUSING_TRAFFIC: readiness is OUT_OF_SERVICE";
    }

    @Override
    public void set(String value) {
        if (!value.equals("REFUSING_TRAFFIC")) {
            throw new IllegalArgumentException("expected REFUSING_TRAFFIC, found '" + value + "'");
        }
        AvailabilityChangeEvent.publish(context, ReadinessState.REFUSING_TRAFFIC);
    }

    @Override
    public void clear() {
        AvailabilityChangeEvent.publish(context, ReadinessState.ACCEPTING_TRAFFIC);
    }
}
