"""Names that settings use of each other."""

import pytest

from tests.checks.test_shapes import SessionMiddleware, faults_of


@pytest.mark.usefixtures("plugins")
def test_an_excluded_module_must_be_common() -> None:
    """`!x` with x not in COMMON_MODULES is a fault, with what was perhaps meant."""
    found = faults_of(COMMON_MODULES=["plugin_parts.Part"], ROUTE_MODULES={"Index": ["!plugin_parts.Prt"]})
    (fault,) = found
    assert fault.startswith("ROUTE_MODULES['Index'][0] = '!plugin_parts.Prt': COMMON_MODULES has no 'plugin_parts.Prt'")
    assert fault.endswith(". Did you mean 'plugin_parts.Part'?")
    assert faults_of(ROUTE_MODULES={"Index": ["!a.b"]})[0].endswith("COMMON_MODULES has no 'a.b'. It is empty.")


class DBAlchemyMiddleware:
    """Stands for the real one."""


DBAlchemyMiddleware.__module__ = "torngas_aio.middleware.dbalchemy"


def test_the_session_needs_its_alias_and_secret() -> None:
    """Both are looked at only with SessionMiddleware."""
    session = {"session_cache_alias": "defalt"}
    assert faults_of(SESSION=session) == []
    found = faults_of(SESSION=session, MIDDLEWARE_CLASSES=[SessionMiddleware])
    assert found[0] == "SESSION['session_cache_alias'] = 'defalt': no such alias. Did you mean 'default'?"
    assert found[1].startswith("SESSION['secret_key'] is missing, and DEBUG is off. Generate one with")
    assert len(found) == 2


def test_the_database_middleware_needs_a_connection() -> None:
    """An empty DATABASE_CONNECTION is a fault only then."""
    assert faults_of(MIDDLEWARE_CLASSES=[DBAlchemyMiddleware])[0].startswith("DATABASE_CONNECTION is empty")
