"""What the tests in processes share."""

import pytest

from .running import Face


@pytest.fixture(scope="module", params=["threads", "lane"])
def face(request: pytest.FixtureRequest) -> Face:
    """Name the face of the gateway that is tested: the WSGI app in threads, and the lane."""
    face: Face = request.param
    return face
