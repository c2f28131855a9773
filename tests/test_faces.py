"""Which modules go through the lane once more."""

import pytest
from faces import TESTS, has_face


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        pytest.param("test_callback.py", True, id="is-given-a-site"),
        pytest.param("test_routes.py", True, id="runs-one"),
        pytest.param("test_step_up_upstream.py", True, id="by-a-module-between"),
        pytest.param("conformance/judge.py", True, id="in-a-package"),
        pytest.param("peers/test_accessibility.py", True, id="by-relative-imports"),
        pytest.param("test_upstream_answer.py", True, id="asks-an-upstream"),
        pytest.param("test_two_providers.py", False, id="takes-but-names-from-the-harness"),
        pytest.param("peers/test_matrix.py", False, id="has-a-gateway-of-its-own"),
        pytest.param("oidc/test_jwe.py", False, id="has-none"),
    ],
)
def test_a_module_has_a_face_where_it_imports_one(module: str, expected: bool) -> None:
    assert has_face(TESTS / module) is expected
