# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.filter.services import FilterModule

services = FilterModule().filters()["services"]
LISTED = [{"name": "case-service"}, "vault-service", {"name": "api-facade", "hpa": "facade", "port": 9090}]
DEFAULTS = {"deployment": "{name}", "hpa": "{name}-hpa", "port": 8080}


def test_every_service_is_filled_in_and_its_own_values_win():
    assert services(LISTED, DEFAULTS) == [
        {"name": "case-service", "deployment": "case-service", "hpa": "case-service-hpa", "port": 8080},
        {"name": "vault-service", "deployment": "vault-service", "hpa": "vault-service-hpa", "port": 8080},
        {"name": "api-facade", "deployment": "api-facade", "hpa": "facade", "port": 9090},
    ]


@pytest.mark.parametrize(
    ("selected", "names"),
    [
        ("case-service", ["case-service"]),
        ("api-facade, case-service", ["case-service", "api-facade"]),
        (["vault-service"], ["vault-service"]),
        ("all", ["case-service", "vault-service", "api-facade"]),
    ],
)
def test_what_is_selected_comes_in_the_order_of_the_inventory(selected, names):
    assert [service["name"] for service in services(LISTED, {}, selected)] == names


@pytest.mark.parametrize(
    ("listed", "selected", "message"),
    [
        (LISTED, "", "no service is selected"),
        (LISTED, [], "no service is selected"),
        (LISTED, "case", "no service is named case. There are: case-service, vault-service, api-facade"),
        (LISTED, "all,case-service", "no service is named all"),
        ([], None, "at least one"),
        ("case-service", None, "must be a list"),
        ([{"port": 1}], None, "needs a name"),
        (["a", {"name": "a"}], None, "twice: a, a"),
    ],
)
def test_what_selects_nothing_is_an_error_that_shows_what_there_is(listed, selected, message):
    with pytest.raises(AnsibleFilterError, match=message):
        services(listed, {}, selected)


def test_the_name_stands_in_lists_and_dictionaries_too():
    defaults = {"locations": ["filesystem:/srv/{name}/sql"], "tool": {"directory": "/srv/{name}", "port": 1}}
    assert services(["case"], defaults)[0] == {
        "name": "case",
        "locations": ["filesystem:/srv/case/sql"],
        "tool": {"directory": "/srv/case", "port": 1},
    }
