"""Who we are to a provider: our registration there, in RFC 7591's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gateway.oidc.keys import OwnKey


class SenderConstraint(Enum):
    """What binds an access token to us, so that a stolen one is worth nothing (RFC 9700 2.2)."""

    NONE = "none"
    DPOP = "dpop"
    MTLS = "mtls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """How something that the provider sends us is signed, and how encrypted around that.

    `algorithms` are the only ones that it may be signed with; `encryption` is the pair of `alg` and `enc` that it must
    be encrypted with, None where it is not.
    """

    algorithms: tuple[str, ...]
    encryption: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the provider knows us as.

    `token_endpoint_auth_method` is chosen from the provider's metadata where it is None. `signing_keys` are for
    assertions and request objects, `decryption_keys` for what the provider encrypts to us; `has_certificate` says that
    the transport presents one. `resource` names what the tokens are for (RFC 8707). A `userinfo`,
    `authorization_response` or `introspection` of None is plain JSON, or plain parameters. `backchannel_logout_uri` and
    `frontchannel_logout_uri` are where the provider says that it has ended a session, empty where it cannot. `leeway`
    is the clock skew that we forgive, in seconds.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)
    token_endpoint_auth_method: str | None = None
    signing_keys: tuple[OwnKey, ...] = ()
    decryption_keys: tuple[OwnKey, ...] = ()
    has_certificate: bool = False
    sender_constraint: SenderConstraint = SenderConstraint.NONE
    redirect_uri: str
    post_logout_redirect_uri: str
    backchannel_logout_uri: str = ""
    frontchannel_logout_uri: str = ""
    scope: str = "openid"
    response_type: str = "code"
    response_mode: str | None = None
    resource: tuple[str, ...] = ()
    id_token: Protection = Protection(algorithms=("RS256",))
    userinfo: Protection | None = None
    authorization_response: Protection | None = None
    introspection: Protection | None = None
    request_object_encryption: tuple[str, str] | None = None
    leeway: int = 60

    @property
    def expects_form(self) -> bool:
        """Whether the authorization response is asked for as a form that is posted (OAuth 2.0 Form Post 2)."""
        return (self.response_mode or "").startswith("form_post")
