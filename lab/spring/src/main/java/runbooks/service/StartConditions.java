// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/** What the start depends on beside the database: time, settings that must be there, an issuer that must answer. */
@Component
class StartConditions {

    private static final Duration PATIENCE = Duration.ofSeconds(5);

    StartConditions(Settings settings, Environment environment) throws InterruptedException {
        Thread.sleep(settings.startDelay().toMillis());
        for (String name : settings.required()) {
            environment.resolveRequiredPlaceholders("${" + name + "}");
        }
        if (!settings.issuer().isEmpty()) {
            askIssuer(settings.issuer());
        }
    }

    /** Fails with the words of Spring Security, which asks the same at the start of a service with issuer-uri. */
    private static void askIssuer(String issuer) throws InterruptedException {
        String refusal = "Unable to resolve the Configuration with the provided Issuer of \"" + issuer + "\"";
        URI configuration = URI.create(issuer + "/.well-known/openid-configuration");
        HttpClient client = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
        HttpRequest request = HttpRequest.newBuilder(configuration).timeout(PATIENCE).build();
        try {
            int status = client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
            if (status != 200) {
                throw new IllegalArgumentException(refusal + ": " + configuration + " answered " + status);
            }
        } catch (IOException error) {
            throw new IllegalArgumentException(refusal, error);
        }
    }
}
