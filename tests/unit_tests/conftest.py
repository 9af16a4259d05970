"""Unit tests reach nothing beyond this machine."""

from __future__ import annotations

import pytest
from pytest_socket import socket_allow_hosts


@pytest.fixture(autouse=True)
def _offline() -> None:
    # The plugin lifts the restriction after each test.
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
