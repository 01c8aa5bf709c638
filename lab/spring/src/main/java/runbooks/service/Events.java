// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.config.KafkaListenerEndpointRegistry;
import org.springframework.kafka.listener.MessageListenerContainer;
import org.springframework.stereotype.Component;

/** The Kafka listener, and what can be wrong with it. */
@Component
@ConditionalOnProperty("service.consumes")
class Events implements Fault {

    private static final String ID = "events";
    private static final Logger LOG = LoggerFactory.getLogger(Events.class);

    private final Counter processed;
    private final KafkaListenerEndpointRegistry containers;
    private volatile long milliseconds;
    private volatile boolean failing;

    Events(MeterRegistry meters, KafkaListenerEndpointRegistry containers) {
        this.processed = meters.counter("service.events.processed");
        this.containers = containers;
    }

    @KafkaListener(id = ID, idIsGroup = false, topics = "${service.topic}")
    void take(String event) throws InterruptedException {
        Thread.sleep(milliseconds);
        if (failing) {
            throw new IllegalStateException("fault 'consumer' is set to failing");
        }
        LOG.debug("event {}", event);
        processed.increment();
    }

    @Override
    public String name() {
        return "consumer";
    }

    @Override
    public String describe() {
        return "paused, stopped, failing (each record is retried, then dropped), or milliseconds that a record takes";
    }

    @Override
    public void set(String value) {
        switch (value) {
            case "paused" -> container().pause();
            case "stopped" -> container().stop();
            case "failing" -> failing = true;
            default -> milliseconds = Fault.number(value, 1);
        }
    }

    @Override
    public void clear() {
        failing = false;
        milliseconds = 0;
        if (container().isRunning()) {
            container().resume();
        } else {
            container().start();
        }
    }

    private MessageListenerContainer container() {
        return containers.getListenerContainer(ID);
    }
}
