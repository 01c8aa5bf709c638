// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import jakarta.servlet.http.HttpServletRequest;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.springframework.boot.availability.AvailabilityChangeEvent;
import org.springframework.boot.availability.ReadinessState;
import org.springframework.context.event.EventListener;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

/** The faults by name: set by the environment at the start, and by requests from the same machine later on. */
@RestController
@RequestMapping(Faults.PATH)
class Faults {

    static final String PATH = "/faults";

    private final Map<String, Fault> known;
    private final Map<String, String> active = new ConcurrentSkipListMap<>();
    private final List<String> atStart;
    private boolean started;

    Faults(List<Fault> faults, Settings settings) {
        known = faults.stream()
                .collect(Collectors.toMap(Fault::name, Function.identity(), (one, other) -> one, TreeMap::new));
        atStart = settings.faults();
    }

    /** When the start is over, since its last step is to accept traffic. */
    @EventListener
    void setThoseOfTheEnvironment(AvailabilityChangeEvent<ReadinessState> event) {
        if (event.getState() == ReadinessState.ACCEPTING_TRAFFIC && !started) {
            started = true;
            for (String entry : atStart) {
                String[] parts = entry.split("=", 2);
                change(parts[0], parts.length == 2 ? parts[1] : "");
            }
        }
    }

    @GetMapping
    Map<String, Object> all(HttpServletRequest request) {
        onlyFromHere(request);
        Map<String, String> described = new TreeMap<>();
        known.forEach((name, fault) -> described.put(name, fault.describe()));
        return Map.of("active", active, "known", described);
    }

    @PutMapping("/{name}")
    Map<String, String> set(
            @PathVariable String name, @RequestParam(defaultValue = "") String value, HttpServletRequest request) {
        onlyFromHere(request);
        change(name, value);
        return active;
    }

    @DeleteMapping("/{name}")
    Map<String, String> clear(@PathVariable String name, HttpServletRequest request) {
        onlyFromHere(request);
        if (active.remove(name) != null) {
            known.get(name).clear();
        }
        return active;
    }

    @DeleteMapping
    Map<String, String> clearAll(HttpServletRequest request) {
        List.copyOf(active.keySet()).forEach(name -> clear(name, request));
        return active;
    }

    @ExceptionHandler
    ResponseEntity<String> refused(IllegalArgumentException error) {
        return ResponseEntity.badRequest().body(error.getMessage() + System.lineSeparator());
    }

    private void change(String name, String value) {
        Fault fault = known.get(name);
        if (fault == null) {
            throw new IllegalArgumentException("no fault '" + name + "'; there are " + known.keySet());
        }
        if (active.containsKey(name)) {
            fault.clear();
        }
        fault.set(value);
        active.put(name, value);
    }

    private static void onlyFromHere(HttpServletRequest request) {
        try {
            if (InetAddress.getByName(request.getRemoteAddr()).isLoopbackAddress()) {
                return;
            }
        } catch (UnknownHostException error) {
            // not from here
        }
        throw new ResponseStatusException(HttpStatus.FORBIDDEN, "faults are set from the same machine only");
    }
}
