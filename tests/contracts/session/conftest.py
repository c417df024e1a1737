"""Sessions on every store of the cache suite."""

import pytest

from tests.contracts.cache import conftest as cache_suite
from tests.contracts.cache.subject import Subject
from tests.contracts.session.visitor import Stores, Visitor
from torngas_aio.session import SessionStore

# All fixtures of the stores: pytest collects them from this module's names.
globals().update({name: found for name, found in vars(cache_suite).items() if not name.startswith("__")})


@pytest.fixture
def stores(subject: Subject) -> Stores:
    return Stores(subject)


@pytest.fixture
def store(stores: Stores) -> SessionStore:
    return stores.open()


@pytest.fixture
def visitor(store: SessionStore) -> Visitor:
    return Visitor(store)
