-- Copyright (c) 2026, the sre.runbooks developers
-- SPDX-License-Identifier: GPL-3.0-or-later
create table work (
    id bigint generated always as identity primary key,
    made_at timestamptz not null default now()
);
