import ssl
import subprocess
from pathlib import Path

import pytest

from streamcam.errors import StreamcamError
from streamcam.web.tls import tls_context
from tests.support.page_server import make_certificate


def complaint(cert: Path, key: Path) -> str:
    with pytest.raises(StreamcamError) as caught:
        tls_context(cert, key)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_certificate_and_its_key(tmp_path: Path) -> None:
    context = tls_context(*make_certificate(tmp_path))
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    assert (
        complaint(tmp_path / "none.pem", key) == f"cannot read tls_cert {tmp_path}/none.pem: No such file or directory"
    )
    assert complaint(cert, tmp_path) == f"cannot read tls_key {tmp_path}: Is a directory"


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    assert complaint(key, cert) == (
        f"tls_cert {key} holds no certificate: expected PEM, with the line -----BEGIN … CERTIFICATE-----"
    )
    assert "holds no private key: expected PEM" in complaint(cert, cert)
    (tmp_path / "empty.pem").touch()
    assert "holds no certificate" in complaint(tmp_path / "empty.pem", key)


def test_damaged_files(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    for path in (cert, key):
        whole = path.read_text()
        lines = whole.splitlines()
        for damaged in ([*lines[:1], "!", *lines[2:]], [*lines[:1], *lines[2:]], lines[:-1], [lines[0], lines[-1]]):
            path.write_text("\n".join(damaged) + "\n")
            assert complaint(cert, key).endswith("one of them is damaged")
        path.write_text(whole)


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    (cert, _), (_, other) = make_certificate(tmp_path), make_certificate(tmp_path, "other")
    assert complaint(cert, other) == (
        f"cannot use tls_cert {cert} with tls_key {other}: the key belongs to another certificate"
    )
    rsa = tmp_path / "rsa.pem"
    subprocess.run(["openssl", "genrsa", "-out", rsa, "2048"], check=True, capture_output=True)
    assert complaint(cert, rsa).endswith("the key belongs to another certificate")


def test_a_key_with_a_passphrase_does_not_make_the_program_ask_for_it(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path, passphrase="xyzzy-xyzzy")
    assert complaint(cert, key) == (
        f"tls_key {key} needs a passphrase, which nobody could type; write one without: "
        f"openssl pkey -in {key} -out NEW.pem"
    )
