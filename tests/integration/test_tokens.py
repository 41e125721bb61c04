"""API tokens from the first one on: made in the database, shown by the command line, refused when they are revoked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result
from penstock.cli.main import main as penstock
from penstock.client import Client, ClientError
from penstock_api.v1 import access_pb2 as pb
from penstock_api.v1 import access_pb2_grpc
from penstock_server.access.api_tokens import TokenAuthenticator
from penstock_server.access.authentication import Authentication
from penstock_server.access.authorization import Authorization
from penstock_server.access.authorizers import RoleAuthorizer
from penstock_server.access.bindings import StoredBindings
from penstock_server.main import main as penstock_server
from penstock_server.rpc.access_control import AccessControl
from penstock_server.rpc.access_servicer import AccessServicer
from penstock_server.rpc.interceptor import CallInterceptor
from penstock_server.runtime import SystemClock
from penstock_server.services.audit import AuditService
from penstock_server.services.documents import Documents
from penstock_server.services.object_namespaces import ObjectNamespaces
from penstock_server.services.role_bindings import RoleBindingService
from penstock_server.services.tenancy import Tenancy
from penstock_server.services.tokens import TokenService
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry

Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def first(data: Path) -> str:
    """A token that whoever runs the server makes, of an administrator."""
    return made(data, "root", "--role", "admin")


def made(data: Path, user: str, *options: str) -> str:
    data.mkdir(exist_ok=True)
    command = ["tokens", "--data-dir", str(data), "create", f"of {user}", "--user", user, *options]
    result = CliRunner().invoke(penstock_server, command)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


@pytest.fixture
def server(data: Path, first: str) -> Iterator[str]:
    """The address of a server that asks for tokens; `root` administers those of others."""
    database = Database(f"sqlite:///{data / 'penstock.db'}")
    tokens = TokenService(database, SystemClock())
    bindings = RoleBindingService(database, SystemClock())
    bindings.create("admin", "*", "root", "")
    nothing = ObjectNamespaces(database, Documents(), lambda uri: None)
    authorizer = RoleAuthorizer(StoredBindings(bindings.all, 0.0).bindings)
    authorization = Authorization(authorizer, nothing, Tenancy(multi_user=True), "kubeflow")
    audit = AuditService(database, SystemClock())
    control = AccessControl(Authentication([TokenAuthenticator(tokens)]), authorization, audit.refused)
    with ThreadPoolExecutor(4) as threads:
        running = grpc.server(threads, interceptors=[CallInterceptor(Telemetry(lambda: (0, 0)), control)])
        servicer = AccessServicer(tokens, bindings, audit, authorization)
        access_pb2_grpc.add_AccessServiceServicer_to_server(servicer, running)
        port = running.add_insecure_port("127.0.0.1:0")
        running.start()
        yield f"127.0.0.1:{port}"
        running.stop(0).wait()
        audit.flush()
    database.dispose()


@pytest.fixture
def run(server: str) -> Run:
    def invoke(token: str, *words: str, **variables: str) -> Result:
        environment = {"PENSTOCK_SERVER": server, "PENSTOCK_TOKEN": token, **variables}
        return CliRunner().invoke(penstock, words, env=environment)

    return invoke


def test_a_token_says_who_calls(run: Run, first: str) -> None:
    result = run(first, "whoami")
    assert result.exit_code == 0 and result.stdout.splitlines()[0] == "root"
    found = json.loads(run(first, "whoami", "--json").stdout)
    assert (found["user"], found["source"], found["multi_user"]) == ("root", "token", True)
    assert found["token_id"] == first.split("_")[1]


def test_a_token_can_come_by_option_and_by_file(run: Run, first: str, tmp_path: Path) -> None:
    assert run("", "whoami", "--token", first).exit_code == 0
    file = tmp_path / "token"
    file.write_text(first + "\n")
    assert run("", "whoami", "--token-file", str(file)).exit_code == 0
    assert run("", "whoami", PENSTOCK_TOKEN_FILE=str(file)).exit_code == 0


def test_a_file_is_read_at_every_call(server: str, data: Path, first: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(first)
    with Client(server, token_file=file) as client:
        assert client.call(client.access.WhoAmI, pb.WhoAmIRequest()).user == "root"
        file.write_text(made(data, "alice"))
        assert client.call(client.access.WhoAmI, pb.WhoAmIRequest()).user == "alice"
        file.unlink()
        with pytest.raises(ClientError, match="cannot be read"):
            client.call(client.access.WhoAmI, pb.WhoAmIRequest())


@pytest.mark.parametrize("token", ["", "pst_x", "nonsense"])
def test_nobody_is_told_nothing(run: Run, token: str) -> None:
    result = run(token, "whoami")
    assert result.exit_code == 1 and "token" in result.stderr


def test_a_token_is_made_listed_and_revoked(run: Run, first: str) -> None:
    options = ("--expires", "2d", "--role", "editor", "--namespace", "a", "--namespace", "b")
    created = run(first, "tokens", "create", "ci", *options)
    assert created.exit_code == 0, created.output
    secret = created.stdout.strip()
    listed = json.loads(run(secret, "tokens", "list", "--json").stdout)
    assert [token["name"] for token in listed] == ["ci", "of root"]
    assert (listed[0]["role"], listed[0]["namespaces"]) == ("editor", ["a", "b"])
    assert "last_used_at" in listed[0] and "revoked_at" not in listed[0]
    assert secret not in json.dumps(listed)
    assert run(secret, "tokens", "create", "worse", "--role", "admin").exit_code == 1
    assert "a, b" in run(first, "tokens", "list").stdout

    assert run(first, "tokens", "revoke", listed[0]["token_id"]).exit_code == 0
    assert "revoked" in run(secret, "whoami").stderr


def test_the_tokens_of_others_are_an_administrators(run: Run, data: Path, first: str) -> None:
    alice = made(data, "alice")
    assert "administrator" in run(alice, "tokens", "list", "--all-users").stderr
    assert "not found" in run(alice, "tokens", "revoke", first.split("_")[1]).stderr
    everybody = json.loads(run(first, "tokens", "list", "--all-users", "--json").stdout)
    assert {token["user"] for token in everybody} == {"alice", "root"}
    assert run(first, "tokens", "revoke", alice.split("_")[1]).exit_code == 0
    assert run(alice, "whoami").exit_code == 1


@pytest.mark.parametrize("expires", ["0s", "367d", "1w", "-1d", "x", ""])
def test_how_long_a_token_may_last(run: Run, first: str, expires: str) -> None:
    assert run(first, "tokens", "create", "ci", "--expires", expires).exit_code in (1, 2)


@pytest.mark.parametrize("user", ["", " ", "a\nb", "x" * 256])
def test_what_is_no_user(data: Path, user: str) -> None:
    data.mkdir()
    command = ["tokens", "--data-dir", str(data), "create", "ci", "--user", user]
    assert CliRunner().invoke(penstock_server, command).exit_code == 2
