"""K-means on one thread: on small data, threads that wait for each other cost more than they do."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    with threadpool_limits(limits=1):
        yield
