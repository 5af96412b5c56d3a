"""What tests of searches share."""

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine


@pytest.fixture(autouse=True)
def unsynced():
    """A data base that need not outlive the machine: no write waits for the disk."""

    def connected(connection, _):
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", connected)
    yield
    event.remove(Engine, "connect", connected)
