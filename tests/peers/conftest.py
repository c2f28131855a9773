"""What the tests of the matrix share: one provider with every feature and all of the gateway's clients."""

from collections.abc import Iterator

import pytest
import requests

from .matrix_client import Peer
from .matrix_clients import ACCOUNTS, connect
from .matrix_gateway import Matrix, write_keys
from .matrix_registrations import gateway_registrations
from .matrix_tls import make_self_signed, make_tls_material
from .node_provider import EVERY_FEATURE, run_node_provider
from .servers import free_port


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Give the provider, over http, and over https where it asks for certificates."""
    directory = tmp_path_factory.mktemp("matrix")
    tls = make_tls_material(directory / "tls")
    certificates = {
        "client": tls.authority.issue("client"),
        "self_signed": make_self_signed(directory, "self_signed"),
    }
    signing_keys, decryption_keys = write_keys(directory)
    with run_node_provider(
        port=free_port(),
        clients=gateway_registrations(certificates),
        accounts=ACCOUNTS,
        features=EVERY_FEATURE,
        tls=tls,
        mtls_port=free_port(),
    ) as provider:
        yield Matrix(
            provider=provider,
            tls=tls,
            certificates=certificates,
            signing_keys=signing_keys,
            decryption_keys=decryption_keys,
        )


@pytest.fixture(scope="session")
def observer(matrix: Matrix) -> Iterator[Peer]:
    """Give a plain client that shares no code with the gateway, to look tokens up."""
    with requests.Session() as session:
        yield connect(session, matrix.provider)
