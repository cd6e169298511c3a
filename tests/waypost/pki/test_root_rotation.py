"""Tests the three steps in which the root of a folder of certificates is exchanged."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from waypost import tls
from waypost.pki import authority, root_rotation
from waypost.pki.certificates import is_issued_by, read_certificate, read_certificates, replace_file
from waypost.pki.root_rotation import RotationStep
from waypost.tls import PkiError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority.create_root(tmp_path)
    authority.issue_gateway(tmp_path)
    authority.issue_cluster(tmp_path, "beijing")
    authority.issue_api(tmp_path, ["waypost.example", "10.0.0.1"])
    return tmp_path


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


def test_the_whole_exchange_leaves_a_good_folder_at_each_step(folder: Path) -> None:
    old, hosts = read_certificate(folder / "ca.pem"), names(folder / "api.pem")
    assert root_rotation.next_step(folder) is RotationStep.TRUST

    root_rotation.trust_new_root(folder)
    first, second = read_certificates(folder / "ca.pem")
    assert first == old
    assert root_rotation.next_step(folder) is RotationStep.ISSUE
    assert authority.verify(folder) == []

    assert root_rotation.issue_from_new_root(folder) == ["gateway", "api", "clusters/beijing"]
    assert read_certificates(folder / "ca.pem") == [second, old]
    assert is_issued_by(read_certificate(folder / "gateway.pem"), second)
    assert names(folder / "api.pem") == hosts
    assert root_rotation.next_step(folder) is RotationStep.RETIRE
    assert authority.verify(folder) == []

    root_rotation.retire_old_root(folder)
    assert read_certificates(folder / "ca.pem") == [second]
    assert root_rotation.next_step(folder) is RotationStep.TRUST
    assert authority.verify(folder) == []
    assert modes(folder) == {0o600}
    assert not (folder / root_rotation.NEXT_KEY).exists()


def names(path: Path) -> list[str]:
    extensions = read_certificate(path).extensions
    return [str(name.value) for name in extensions.get_extension_for_class(x509.SubjectAlternativeName).value]


def test_certificates_for_new_regions_are_issued_during_an_exchange(folder: Path) -> None:
    root_rotation.trust_new_root(folder)
    authority.issue_cluster(folder, "shanghai")
    assert authority.verify(folder) == []
    root_rotation.issue_from_new_root(folder)
    authority.issue_cluster(folder, "shenzhen")
    root_rotation.retire_old_root(folder)
    assert authority.verify(folder) == []


@pytest.mark.parametrize(
    ("done", "refused"),
    [
        ([], "issue"),
        ([], "retire"),
        (["trust"], "trust"),
        (["trust"], "retire"),
        (["trust", "issue"], "trust"),
    ],
)
def test_no_step_is_left_out_or_taken_again(folder: Path, done: list[str], refused: str) -> None:
    """Each would leave processes that do not know each other."""
    steps: dict[str, Callable[[Path], object]] = {
        "trust": root_rotation.trust_new_root,
        "issue": root_rotation.issue_from_new_root,
        "retire": root_rotation.retire_old_root,
    }
    for step in done:
        steps[step](folder)
    before = (folder / "ca.pem").read_bytes()
    with pytest.raises(PkiError, match=r"the next step for .* is"):
        steps[refused](folder)
    assert (folder / "ca.pem").read_bytes() == before


def test_the_old_root_is_kept_as_long_as_a_certificate_is_from_it(folder: Path) -> None:
    root_rotation.trust_new_root(folder)
    old_pair = {name: (folder / name).read_bytes() for name in ("gateway.pem", "gateway.key")}
    root_rotation.issue_from_new_root(folder)
    for name, content in old_pair.items():
        (folder / name).write_bytes(content)

    with pytest.raises(PkiError, match="gateway: issued by the root that is to be retired"):
        root_rotation.retire_old_root(folder)
    assert root_rotation.issue_from_new_root(folder) == ["gateway"]
    root_rotation.retire_old_root(folder)


def test_an_interrupted_step_is_taken_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after each of its writes, the step `trust` and the step `issue` can be repeated."""
    root_rotation.trust_new_root(folder)
    roots = (folder / "ca.pem").read_bytes()
    (folder / "ca.pem").write_bytes(roots[: roots.index(b"-----END") + 26])  # before ca.pem was replaced
    assert root_rotation.next_step(folder) is RotationStep.TRUST
    root_rotation.trust_new_root(folder)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:  # after ca.pem, before ca.key
        patched.setattr(root_rotation, "replace_file", after(replace_file, killed))
        with pytest.raises(KeyboardInterrupt):
            root_rotation.issue_from_new_root(folder)
    assert root_rotation.next_step(folder) is RotationStep.ISSUE
    with monkeypatch.context() as patched:  # after ca.key, before the certificates
        patched.setattr(authority, "issue_again", killed)
        with pytest.raises(KeyboardInterrupt):
            root_rotation.issue_from_new_root(folder)
    assert root_rotation.issue_from_new_root(folder) == ["gateway", "api", "clusters/beijing"]
    root_rotation.retire_old_root(folder)
    assert authority.verify(folder) == []


def after(real: Callable[..., None], then: Callable[..., None]) -> Callable[..., None]:
    def both(*arguments: object) -> None:
        real(*arguments)
        then()

    return both


def test_the_apis_certificate_of_another_authority_is_left_alone(folder: Path, tmp_path: Path) -> None:
    authority.create_root(tmp_path / "other")
    foreign = authority.issue_api(tmp_path / "other", ["waypost.example"])
    (folder / "api.pem").write_bytes(foreign.certificate.read_bytes())
    (folder / "api.key").write_bytes(foreign.key.read_bytes())
    root_rotation.trust_new_root(folder)

    assert root_rotation.issue_from_new_root(folder) == ["gateway", "clusters/beijing"]
    assert (folder / "api.pem").read_bytes() == foreign.certificate.read_bytes()


@pytest.mark.parametrize("name", ["clusters/nowhere", "nothing", "clusters/../x", ""])
def test_only_what_there_is_can_be_issued_again(folder: Path, name: str) -> None:
    with pytest.raises(PkiError):
        authority.issue_again(folder, name)


def test_issuing_again_replaces_a_certificate_that_is_good(folder: Path) -> None:
    before = (folder / "gateway.pem").read_bytes()
    authority.issue_again(folder, "gateway")

    assert (folder / "gateway.pem").read_bytes() != before
    assert authority.verify(folder) == []
    assert tls.client_context(tls.gateway_credentials(folder))
