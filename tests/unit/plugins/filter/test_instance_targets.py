# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.filter.instance_targets import FilterModule

instance_targets = FilterModule().filters()["instance_targets"]


def test_a_service_is_asked_at_its_url_or_at_its_pods():
    services = [{"name": "a", "service": "a", "port": 8080, "url": ""}, {"name": "b", "url": "http://b:1"}]
    assert instance_targets(services, "hafnium", {"min_instances": 2}) == [
        {"name": "a", "namespace": "hafnium", "service": "a", "port": 8080, "min_instances": 2},
        {"name": "b", "url": "http://b:1", "min_instances": 2},
    ]


def test_a_service_that_says_neither_is_named():
    with pytest.raises(AnsibleFilterError, match="'a' has neither a url nor port"):
        instance_targets([{"name": "a", "service": "a"}], "hafnium")
