"""What applications call back with."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from unit.kubernetes.applications import app

from krake.controller.kubernetes.application.hooks.authority import Authority
from krake.controller.kubernetes.application.hooks.mangling import Binding
from krake.controller.kubernetes.application.hooks.material import LONGEST_WAIT, HookProblem, Materials
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.data.kubernetes import Application, ApplicationStatus
from krake.data.secrets import MARK

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
MAKE: dict[str, Any] = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def hooked(*hooks: str, **status: Any) -> Application:
    plain = app(**status)
    return replace(plain, spec=replace(plain.spec, hooks=list(hooks)))


def store_authority(folder: Path, name: str, kind: str = "ec", days: float = 3650) -> tuple[Path, Path]:
    """Write the certificate and the key of a new authority."""
    key = MAKE[kind]()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Krake"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:{name}-signing"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(True, 0), critical=True)
        .sign(key, None if kind == "ed25519" else hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}-key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return paths


def secured(folder: Path, kind: str = "ec", days: float = 3650, **keys: Any) -> ApplicationControllerConfig:
    hooks: dict[str, dict[str, str]] = {}
    for hook in ("complete", "shutdown"):
        src, key_src = store_authority(folder, hook, kind, days)
        hooks[hook] = {"intermediate_src": str(src), "intermediate_key_src": str(key_src)}
    tls = {"enabled": True, "client_ca": hooks["complete"]["intermediate_src"]}
    return ApplicationControllerConfig.deserialize({"tls": tls, "hooks": hooks, "api_endpoint": "https://krake:1", **keys})


def with_hook(config: ApplicationControllerConfig, hook: str = "shutdown", **keys: Any) -> ApplicationControllerConfig:
    changed: dict[str, Any] = {hook: replace(getattr(config.hooks, hook), **keys)}
    return replace(config, hooks=replace(config.hooks, **changed))


def certificate_of(status: ApplicationStatus, hook: str = "shutdown") -> x509.Certificate:
    return x509.load_pem_x509_certificate((getattr(status, f"{hook}_cert") or "").encode())


def binding_of(materials: Materials, found: Application) -> Binding:
    (binding,) = materials.bindings(found)
    return binding


def test_each_hook_has_a_token_of_its_own_that_stays() -> None:
    materials = Materials(ApplicationControllerConfig())
    status = materials.equip(hooked("complete", "shutdown"), NOW)
    assert status.complete_token
    assert status.shutdown_token
    assert len({status.complete_token, status.shutdown_token}) == 2
    assert len(status.complete_token) >= 43
    assert (status.complete_cert, status.shutdown_key) == (None, None)
    later = replace(hooked("complete", "shutdown"), status=status)
    assert materials.equip(later, NOW + 1000 * DAY) == status
    assert materials.due(later, NOW) is None
    assert materials.equip(hooked("complete", "shutdown"), NOW).complete_token != status.complete_token


def test_what_no_hook_needs_is_thrown_away() -> None:
    found = hooked("complete", complete_token="a", shutdown_token="b", shutdown_cert="c", shutdown_key="d")
    status = Materials(ApplicationControllerConfig()).equip(found, NOW)
    assert (status.complete_token, status.shutdown_token, status.shutdown_cert, status.shutdown_key) == ("a", None, None, None)


@pytest.mark.parametrize("kind", MAKE)
def test_certificates_are_issued_for_one_user_and_one_purpose(tmp_path: Path, kind: str) -> None:
    config = secured(tmp_path, kind)
    status = Materials(config).equip(hooked("complete", "shutdown"), NOW)
    issuer = x509.load_pem_x509_certificate((tmp_path / "shutdown.pem").read_bytes())
    certificate = certificate_of(status)
    certificate.verify_directly_issued_by(issuer)
    assert [each.value for each in certificate.subject] == ["Krake", "system:shutdown-hook"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert certificate_of(status, "complete").serial_number != certificate.serial_number
    # OpenSSL takes it together with its key.
    (tmp_path / "c.pem").write_text(status.shutdown_cert or "")
    (tmp_path / "k.pem").write_text(status.shutdown_key or "")
    ssl.create_default_context().load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")


def test_a_certificate_is_renewed_at_two_thirds_of_its_life(tmp_path: Path) -> None:
    materials = Materials(secured(tmp_path))
    found = hooked("shutdown")
    found = replace(found, status=materials.equip(found, NOW))
    first = certificate_of(found.status)
    whole = first.not_valid_after_utc - first.not_valid_before_utc
    due = first.not_valid_before_utc + whole * 2 / 3
    assert materials.due(found, NOW) == LONGEST_WAIT.total_seconds()
    assert materials.due(found, due - timedelta(seconds=7)) == 7
    assert materials.equip(found, due - timedelta(seconds=1)) == found.status
    renewed = materials.equip(found, due)
    assert certificate_of(renewed).serial_number != first.serial_number
    assert renewed.shutdown_token == found.status.shutdown_token
    # The old one is good until the new one has reached the containers.
    assert first.not_valid_after_utc - due > 29 * DAY


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: store_authority(folder, "shutdown") and {}, id="another authority"),
        pytest.param(lambda folder: {"hook_user": "system:other"}, id="another user"),
    ],
)
def test_a_certificate_is_renewed_when_it_would_not_be_issued_any_more(tmp_path: Path, change: Any) -> None:
    config = secured(tmp_path)
    found = hooked("shutdown")
    found = replace(found, status=Materials(config).equip(found, NOW))
    config = with_hook(config, **change(tmp_path))
    renewed = Materials(config).equip(found, NOW)
    assert renewed.shutdown_cert != found.status.shutdown_cert
    assert Materials(config).equip(replace(found, status=renewed), NOW) == renewed


@pytest.mark.parametrize("forged", [{"shutdown_cert": "x"}, {"shutdown_key": "x"}, {"shutdown_key": None}])
def test_what_is_no_certificate_is_replaced(tmp_path: Path, forged: dict[str, Any]) -> None:
    materials = Materials(secured(tmp_path))
    found = hooked("shutdown")
    status = materials.equip(found, NOW)
    broken = replace(found, status=replace(status, **forged))
    certificate_of(materials.equip(broken, NOW))
    assert materials.equip(broken, NOW).shutdown_key != status.shutdown_key


def test_a_certificate_ends_with_its_authority_and_is_not_renewed_for_nothing(tmp_path: Path) -> None:
    materials = Materials(secured(tmp_path, days=3))
    found = hooked("shutdown")
    found = replace(found, status=materials.equip(found, NOW))
    assert certificate_of(found.status).not_valid_after_utc == NOW + 3 * DAY
    assert materials.equip(found, NOW + 2.9 * DAY) == found.status
    with pytest.raises(HookProblem, match="has expired"):
        materials.equip(found, NOW + 3 * DAY)


def test_what_containers_find(tmp_path: Path) -> None:
    materials = Materials(secured(tmp_path))
    found = hooked("shutdown")
    found = replace(found, status=materials.equip(found, NOW))
    binding = binding_of(materials, found)
    assert binding.url == "https://krake:1/kubernetes/namespaces/red/applications/app/shutdown"
    assert binding.token == found.status.shutdown_token
    assert dict(binding.files) == {
        "ca-bundle.pem": (tmp_path / "complete.pem").read_text(),
        "cert.pem": found.status.shutdown_cert,
        "key.pem": found.status.shutdown_key,
    }
    assert binding.cert_dest == "/etc/krake_shutdown_certs/"


@pytest.mark.parametrize("hook", ["complete", "shutdown"])
@pytest.mark.parametrize(
    ("tls", "external", "url"),
    [
        (False, None, "http://krake:1/"),
        (False, "http://outside:2", "http://outside:2/"),
        (False, "https://outside/base/", "https://outside/base/"),
        (True, None, "https://krake:1/"),
        (True, "http://outside:2", "https://outside:2/"),
    ],
)
def test_the_scheme_fits_for_both_hooks(tmp_path: Path, hook: str, tls: bool, external: str | None, url: str) -> None:
    config = with_hook(secured(tmp_path, api_endpoint="http://krake:1"), hook, external_endpoint=external)
    materials = Materials(replace(config, tls=replace(config.tls, enabled=tls)))
    found = hooked(hook)
    found = replace(found, status=materials.equip(found, NOW))
    assert binding_of(materials, found).url == f"{url}kubernetes/namespaces/red/applications/app/{hook}"


def test_odd_names_do_not_change_the_path() -> None:
    found = replace(hooked("shutdown"), metadata=replace(app().metadata, name="a:b"))
    assert binding_of(Materials(ApplicationControllerConfig()), found).url.endswith("/applications/a%3Ab/shutdown")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"intermediate_src": ""}, "hooks.shutdown.intermediate_src: no file is named"),
        ({"intermediate_key_src": "gone.pem"}, "hooks.shutdown.intermediate_key_src: gone.pem cannot be read"),
        ({"intermediate_key_src": __file__}, "is not a PEM file with a key"),
        ({"intermediate_src": __file__}, "is not a PEM file with certificates"),
        ({"hook_user": "x" * 65}, "hooks.shutdown.hook_user"),
    ],
)
def test_what_is_wrong_with_the_files_is_said(tmp_path: Path, files: dict[str, str], why: str) -> None:
    materials = Materials(with_hook(secured(tmp_path), **files))
    for _ in range(2):
        with pytest.raises(HookProblem, match=why):
            materials.equip(hooked("shutdown"), NOW)
    assert materials.equip(hooked("complete"), NOW).complete_cert
    assert materials.due(hooked("shutdown"), NOW) == LONGEST_WAIT.total_seconds()


def test_a_key_of_another_authority_is_noticed(tmp_path: Path) -> None:
    config = secured(tmp_path)
    config = with_hook(config, intermediate_key_src=config.hooks.complete.intermediate_key_src)
    with pytest.raises(HookProblem, match="does not belong to"):
        Materials(config).equip(hooked("shutdown"), NOW)


def test_files_that_come_later_are_found(tmp_path: Path) -> None:
    config = secured(tmp_path)
    (tmp_path / "shutdown.pem").rename(tmp_path / "elsewhere.pem")
    materials = Materials(config)
    with pytest.raises(HookProblem):
        materials.equip(hooked("shutdown"), NOW)
    (tmp_path / "elsewhere.pem").rename(tmp_path / "shutdown.pem")
    assert materials.equip(hooked("shutdown"), NOW).shutdown_cert


def test_two_hooks_need_two_folders(tmp_path: Path) -> None:
    config = secured(tmp_path)
    config = with_hook(config, cert_dest=config.hooks.complete.cert_dest.rstrip("/"))
    assert Materials(config).equip(hooked("shutdown"), NOW).shutdown_cert
    with pytest.raises(HookProblem, match=r"hooks\.shutdown\.cert_dest"):
        Materials(config).equip(hooked("shutdown", "complete"), NOW)


def test_a_controller_that_may_not_see_tokens_says_so() -> None:
    with pytest.raises(HookProblem, match=r"status\.shutdown_token.*applications/secrets"):
        Materials(ApplicationControllerConfig()).equip(hooked("shutdown", shutdown_token=MARK), NOW)


def test_an_authority_names_its_section() -> None:
    with pytest.raises(ValueError, match=r"^hooks\.complete\.intermediate_src: no file is named"):
        Authority.read("hooks.complete", "", "", "user")
