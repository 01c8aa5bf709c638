// Copyright (c) 2026, the sre.runbooks developers
// SPDX-License-Identifier: GPL-3.0-or-later
package runbooks.service;

/** One thing that can be wrong with the service, on demand. */
interface Fault {

    String name();

    /** What the values are and what they do, in one line. */
    String describe();

    /**
     * Makes it wrong.
     *
     * @throws IllegalArgumentException when the value means nothing; the message says what would
     */
    void set(String value);

    /** Makes it right again. */
    void clear();

    /** A number of a fault's value that is at least {@code least}. */
    static long number(String value, long least) {
        try {
            long number = Long.parseLong(value);
            if (number >= least) {
                return number;
            }
        } catch (NumberFormatException error) {
            // said below
        }
        throw new IllegalArgumentException("expected a whole number from " + least + " on, found '" + value + "'");
    }
}
