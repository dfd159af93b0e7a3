"""Fixtures: every test that asks for a backend runs on each one that works here."""

import pytest

from anynet.backend import Backend, backend_names, get_backend
from anynet.errors import BackendError


def _working() -> list[str]:
    names = []
    for name in backend_names():
        try:
            get_backend(name)
        except BackendError:
            continue
        names.append(name)
    # The strictest ground: a device that is not the default one shows every forgotten `device=`.
    return [*names, *(["array_api_strict:device1"] if "array_api_strict" in names else [])]


@pytest.fixture(params=_working())
def backend(request: pytest.FixtureRequest) -> Backend:
    return get_backend(request.param)


@pytest.fixture
def xp(backend: Backend):
    return backend.xp
