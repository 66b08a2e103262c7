"""Variables that Kubernetes makes of a Service: one called manyarm gives every pod a MANYARM_PORT that is no port."""

from __future__ import annotations

import re
from collections.abc import Mapping

ADVICE = (
    ". Kubernetes gives such variables to its pods for a Service called manyarm: put enableServiceLinks: false into the pod's "
    "spec, or give the Service another name"
)
_NAME = re.compile(r"service_(host|port)|port_\d+_(tcp|udp|sctp)")
_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


def advice_on(given: Mapping[str, object]) -> str:
    """What to do where some settings are such variables; empty where none is.

    >>> advice_on({"port": "8080"}), advice_on({"port": "tcp://10.0.0.7:80"}) == advice_on({"service_host": "x"}) == ADVICE
    ('', True)
    """
    are_linked = (
        _NAME.match(name) or (isinstance(value, str) and _ADDRESS.match(value)) for name, value in given.items()
    )
    return ADVICE if any(are_linked) else ""
