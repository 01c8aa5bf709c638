// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBean;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration;
import org.springframework.context.annotation.Bean;

/** Faults of the connection pool: connections that are borrowed and not given back. */
@AutoConfiguration(after = DataSourceAutoConfiguration.class)
@ConditionalOnBean(HikariDataSource.class)
public class PoolFaults {

    @Bean
    Fault exhausted(HikariDataSource pool) {
        return new Borrower(pool, "pool", "exhausted: all connections of the pool are borrowed") {
            @Override
            int wanted(String value) {
                if (!value.equals("exhausted")) {
                    throw new IllegalArgumentException("expected exhausted, found '" + value + "'");
                }
                return pool.getMaximumPoolSize();
            }
        };
    }

    @Bean
    Fault leak(HikariDataSource pool) {
        return new Borrower(pool, "leak", "how many connections are borrowed and not given back") {
            @Override
            int wanted(String value) {
                return (int) Math.min(Fault.number(value, 1), pool.getMaximumPoolSize());
            }
        };
    }

    /** Holds connections until it is cleared. */
    private abstract static class Borrower implements Fault {

        private static final Logger LOG = LoggerFactory.getLogger(PoolFaults.class);

        private final HikariDataSource pool;
        private final String name;
        private final String description;
        private final List<Connection> held = new ArrayList<>();

        Borrower(HikariDataSource pool, String name, String description) {
            this.pool = pool;
            this.name = name;
            this.description = description;
        }

        abstract int wanted(String value);

        @Override
        public String name() {
            return name;
        }

        @Override
        public String describe() {
            return description;
        }

        @Override
        public synchronized void set(String value) {
            int wanted = wanted(value);
            try {
                while (held.size() < wanted) {
                    held.add(pool.getConnection());
                }
            } catch (SQLException error) {
                LOG.warn("{} of {} connections borrowed: {}", held.size(), wanted, error.getMessage());
            }
        }

        @Override
        public synchronized void clear() {
            for (Connection connection : held) {
                try {
                    connection.close();
                } catch (SQLException error) {
                    LOG.warn("a connection could not be given back: {}", error.getMessage());
                }
            }
            held.clear();
        }
    }
}
