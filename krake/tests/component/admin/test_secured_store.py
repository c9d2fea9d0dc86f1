"""The tools on a store that is reached by TLS, with a certificate and a password."""

from pathlib import Path

import pytest
from fixtures.etcd_secured import secured_etcd
from fixtures.generated import ROOT
from fixtures.tools import Tools
from testpki.directory import ETCD_CLIENT, Directory

ROLES = str(ROOT / "templates" / "bootstrapping" / "base_roles.yaml")
BOOTSTRAP = "krake.admin.bootstrap.command"


@pytest.mark.slow
async def test_the_options_say_how_to_get_in(tools: Tools, shared_pki: Directory, tmp_path: Path) -> None:
    files = shared_pki.files(ETCD_CLIENT)
    async with secured_etcd(shared_pki, tmp_path / "etcd") as port:
        way = ["--db-port", str(port), "--db-username", "krake", "--db-ca", str(shared_pki.folder / "etcd-ca.pem")]
        way += ["--db-cert", str(files.certificate), "--db-key", str(files.key)]
        password = {"KRAKE_ETCD_PASSWORD": "secret"}
        ended = await tools(BOOTSTRAP, *way, ROLES, **password)
        assert (ended.status, ended.err) == (0, "")
        assert (await tools("krake", "backup", *way, "roles.krake", **password)).status == 0
        assert (await tools("krake", "restore", "--force", *way, "roles.krake", **password)).status == 0
        for changed, said in (
            ({"KRAKE_ETCD_PASSWORD": "wrong"}, "does not accept this user and password"),
            ({"KRAKE_ETCD_PASSWORD": ""}, "etcd.password: it is missing"),
        ):
            ended = await tools("krake", "backup", *way, "roles.krake", **changed)
            assert ended.status == 1
            assert said in ended.err
            assert ended.err.count("\n") == 1
