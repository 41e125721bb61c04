"""oauth2-proxy before a server, as many installations of Kubeflow have it: it logs users in and says who they are.

Invariant: it says so in one way, as `Pass` has it; what a caller says of themselves in the same header does not arrive.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from enum import Enum

from tools.go_programs import go_program
from tools.ports import free_port
from tools.services import serving

OAUTH2_PROXY = "github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6"
COOKIE = "oauth2_proxy_kubeflow"


class Pass(Enum):
    """What the server behind gets: the user's ID token, or headers with their address and groups."""

    TOKEN = ("--pass-authorization-header=true", "--pass-user-headers=false")
    HEADERS = ("--pass-authorization-header=false", "--pass-user-headers=true")


@contextlib.contextmanager
def oauth2_proxy(upstream: str, issuer: str, client: str, secret: str, what: Pass) -> Iterator[str]:
    """Its URL. `client` is what the issuer knows it as."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(go_program(OAUTH2_PROXY)), f"--http-address=127.0.0.1:{port}", f"--upstream={upstream}",
        "--provider=oidc", f"--oidc-issuer-url={issuer}", f"--client-id={client}", f"--client-secret={secret}",
        f"--redirect-url={url}/oauth2/callback", "--code-challenge-method=S256", "--insecure-oidc-skip-nonce=false",
        "--scope=openid email profile", "--email-domain=*", f"--whitelist-domain={issuer.partition('://')[2]}",
        # Programs get a 401 where people are led to the log-in; a token of the issuer is as good as a session.
        "--skip-provider-button", "--api-route=^/apis/", "--api-route=^/ml_metadata", "--skip-jwt-bearer-tokens",
        f"--cookie-name={COOKIE}", f"--cookie-secret={secrets.token_hex(16)}", "--cookie-secure=false",
        # Without a time to refresh it asks nobody whether a session's token still holds.
        "--pass-basic-auth=false", "--cookie-refresh=2s", *what.value,
    ]  # fmt: skip
    with serving(command, port):
        yield url
