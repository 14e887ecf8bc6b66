import resource
from itertools import pairwise
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typer import Typer
from typer.main import get_command
from typer.testing import CliRunner

from streamcam.cli.main import app
from streamcam.cli.options import options_of
from streamcam.config.host_port import split_host_port
from streamcam.config.load import make_config
from streamcam.config.run import RunConfig
from streamcam.config.source import SourceConfig
from streamcam.errors import StreamcamError
from streamcam.models.registry import MODELS
from streamcam.sources.address import parse_address
from tests.support.paths import CONFIGS

SAMPLE = {"sources": ["sample"]}


@pytest.mark.parametrize(
    "file",
    sorted(set(CONFIGS.glob("*.yaml")) - {CONFIGS / "kubernetes.yaml", CONFIGS / "notify.yaml"}),
    ids=lambda p: p.name,
)
def test_every_config_that_comes_along_is_valid(file: Path) -> None:
    config = make_config({}, file=file)
    assert config.model in MODELS


class Zone(BaseModel):
    name: str


class Nested(BaseModel):
    """Keys of every kind that a configuration may have."""

    name: str = Field(description="a required text")
    mode: Literal["a", "b"] = Field("a", description="a choice")
    count: int | None = Field(None, description="a number")
    fast: bool = Field(False, description="a switch")
    out: Path | None = Field(None, description="a file")
    names: str | list[str] | None = Field(None, description="a text, or several")
    zone: Zone | None = Field(None, description="a model")
    zones: list[Zone] = Field([], description="models")
    limits: dict[str, int] = Field({}, description="a mapping")


def test_every_option_has_its_key_and_every_plain_key_its_option() -> None:
    options = {parameter.name for parameter in get_command(app).commands["run"].params}  # type: ignore[attr-defined]
    in_files_alone = {"zones", "events", "event_files"}
    assert options - {"config", "demo", "headless"} == set(RunConfig.model_fields) - in_files_alone


def test_a_nested_key_is_for_files_and_has_no_option() -> None:
    given: dict[str, object] = {}

    def command(**options: object) -> None:
        given.update(options)

    made = Typer()
    made.command()(options_of(Nested, out=("-o", "--out"))(command))
    done = CliRunner().invoke(
        made, ["--name", "x", "--count", "3", "--fast", "-o", "f.mp4", "--names", "a", "--names", "b"]
    )
    assert done.exit_code == 0, done.output
    assert given == {
        "name": "x",
        "mode": None,
        "count": 3,
        "fast": True,
        "out": Path("f.mp4"),
        "names": ["a", "b"],
    }


def test_options_override_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("sources: [sample]\nhop: 4\ntop_k: 2\n")
    config = make_config({"hop": 8, "top_k": None}, file=file)
    assert (config.hop, config.top_k) == (8, 2)


def test_a_source_is_a_uri_or_a_uri_with_a_name() -> None:
    config = make_config({"sources": [0, "a.mp4", {"uri": "b.mp4", "name": "b"}]})
    assert [(s.uri, s.name) for s in config.sources] == [("0", None), ("a.mp4", None), ("b.mp4", "b")]


DOOR = {"uri": "rtsp://10.0.0.7/live", "username": "warden"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sources": [DOOR]}, "sources.0: a login is a username and either password_file or password_env"),
        ({"sources": [{"uri": "rtsp://cam/x", "password_env": "X"}]}, "a login is a username and"),
        ({"sources": [DOOR | {"password_env": "X", "password_file": "x"}]}, "leave one of them out"),
        ({"sources": [DOOR | {"password_env": "X", "uri": "rtsp://a:b@cam/x"}]}, "there is a login in uri as well"),
        ({"sources": [DOOR | {"password_env": "X", "uri": "clip.mp4"}]}, "username is for network cameras"),
        ({"sources": [DOOR | {"password_env": "X", "uri": "file:///clip.mp4"}]}, "username is for network cameras"),
        ({**SAMPLE, "device": "x" * 50_000 + ","}, f"device: '{'x' * 80}' has a comma too many"),
        ({"sources": [DOOR | {"pasword_file": "x"}]}, "'sources.0.pasword_file' (did you mean 'password_file'?)"),
        ({**SAMPLE, "device": "cuda:0,"}, "device: 'cuda:0,' has a comma too many: give devices as cuda:0,cuda:1"),
        ({**SAMPLE, "max_wait_ms": 5}, "unknown key 'max_wait_ms'"),
        ({**SAMPLE, "modle": "x"}, "unknown key 'modle' (did you mean 'model'?)"),
        ({"sources": [{"url": "x"}]}, "unknown key 'sources.0.url' (did you mean 'uri'?)"),
        ({**SAMPLE, "hop": 0}, "hop: Input should be greater than or equal to 1"),
        ({**SAMPLE, "top_k": "many"}, "top_k: Input should be a valid integer"),
        ({**SAMPLE, "precision": "fp8"}, "precision: Input should be 'auto', 'fp32', 'fp16', 'bf16' or 'int8'"),
        ({**SAMPLE, "classes": " , "}, "classes: expected 1 to 100 names, got 0"),
        ({**SAMPLE, "classes": ["nod", 1]}, "classes: expected names: a list of texts, or one text with commas"),
        ({**SAMPLE, "classes": ["nod"] * 101}, "classes: expected 1 to 100 names, got 101"),
        ({}, "no source: give a camera number"),
        ({"sources": []}, "sources: List should have at least 1 item"),
        ({"sources": [{"uri": "a", "name": "x"}, {"uri": "b", "name": "x"}]}, "two sources have the same name"),
        ({"sources": [{"uri": "a", "name": "a/b"}]}, "sources.0.name: String should match pattern"),
        ({**SAMPLE, "view": True, "bind": "none"}, "view needs an endpoint"),
        ({**SAMPLE, "engine": "window", "dense": True}, "dense is for the stream engine: leave out engine window"),
        ({**SAMPLE, "chunk": 8}, "unknown key 'chunk'"),
        *(
            ({**SAMPLE, "metrics_bind": address}, "metrics_bind: expected HOST:PORT such as 127.0.0.1:9464, or a port")
            for address in ("", "localhost", ":", "localhost:http", "::1:9464", "http://localhost:9464", "a b:1")
        ),
        *(
            ({**SAMPLE, "metrics_bind": port}, "or a port from 0 to 65535 alone")
            for port in (65536, -1, 1.5, True, [1])
        ),
        ({**SAMPLE, "device": "openvino"}, "device: openvino is a backend: use backend openvino"),
    ],
)
def test_a_mistake_is_one_clear_line(keys: dict[str, object], message: str) -> None:
    with pytest.raises(StreamcamError) as caught:
        make_config(keys)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "just words", "\tx: 1", ""])
def test_a_file_that_is_not_a_mapping_is_one_clear_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(StreamcamError, match=r"c\.yaml") as caught:
        make_config({}, file=file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match="cannot read"):
        make_config({}, file=tmp_path / "no.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(StreamcamError, match="not text"):
        make_config({}, file=tmp_path / "b.yaml")


BOMBS = {
    "aliases": "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in pairwise("abcdefghijklmnopqrstuvw")),
    "merged keys": "a: &a {k: v}\n"
    + "".join(f"{c}: &{c} {{<<: [{', '.join([f'*{p}'] * 10)}]}}\n" for p, c in pairwise("abcdefghijkl")),
    "nesting": "a: " + "[" * 5_000,
    "nested keys": "".join(" " * i + f"k{i}:\n" for i in range(480)),
    "a long number": f"hop: {'9' * 100_000}",
    "a long sexagesimal": f"hop: {'1:' * 20_000}1",
    "a date that cannot be": "hop: 2026-99-99",
    "size": "#" * 200_000,
    "an object": "hop: !!python/object/apply:os.system [true]",
    "keys that are no text": "1: 2\n[a]: 3\n",
    "a key for a terminal": '"\\e[2J": 1',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_that_means_harm_ends_soon_in_one_line(bomb: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"sources: [sample]\n{BOMBS[bomb]}")
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StreamcamError) as caught:
        make_config({}, file=file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_a_password_is_in_no_repr_and_no_error() -> None:
    uri = "rtsp://admin:hunter2@cam/live"
    assert "hunter2" not in repr(make_config({"sources": [uri]}))
    with pytest.raises(StreamcamError) as caught:
        make_config({"sources": [{"uri": uri, "nam": "x"}]})
    assert "hunter2" not in str(caught.value)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(RunConfig.model_fields)) | st.text(), json, max_size=5))
def test_whatever_a_file_holds_the_answer_is_a_config_or_one_line(keys: dict[str, object]) -> None:
    try:
        make_config(dict(keys))
    except StreamcamError as e:
        assert str(e)


@given(st.binary(max_size=40))
def test_whatever_bytes_a_file_holds_the_answer_is_a_config_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "c.yaml"
    file.write_bytes(content)
    with pytest.raises(StreamcamError):
        make_config({}, file=file)


def test_yaml_keys_are_the_options_names(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"sources": ["sample"], "as_fast_as_possible": True, "save_heat": "h.npz"}))
    config = make_config({}, file=file)
    assert config.as_fast_as_possible
    assert config.save_heat == Path("h.npz")


def door(**login: object) -> SourceConfig:
    return make_config({"sources": [DOOR | login]}).sources[0]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_password_may_lie_in_a_file_of_its_own(tmp_path: Path, ending: str) -> None:
    (tmp_path / "door").write_bytes("se@sä me/%41:#?".encode() + ending.encode())
    source = door(password_file=tmp_path / "door")
    parts = urlsplit(source.uri_with_login())
    assert (parts.hostname, parts.path, parts.username) == ("10.0.0.7", "/live", "warden")
    assert unquote(parts.password or "") == "se@sä me/%41:#?"
    assert "warden" not in repr(source)


def test_a_password_file_may_lie_in_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "door").write_text("sesame")
    source = door(password_file="~/door", uri="RTSP://10.0.0.7/live")
    address = parse_address(source.uri_with_login())
    assert address.url == "rtsp://warden:sesame@10.0.0.7/live"  # FFmpeg knows schemes in lower case alone
    assert address.host == "10.0.0.7"


def test_a_login_for_what_is_no_camera_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "sesame")
    with pytest.raises(StreamcamError, match=r"cannot read gopher://.*: use a camera number, rtsp") as caught:
        parse_address(door(password_env="DOOR_PASSWORD", uri="gopher://10.0.0.7/live").uri_with_login())
    assert "sesame" not in str(caught.value)


def test_a_password_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "sesame")
    assert door(password_env="DOOR_PASSWORD").uri_with_login() == "rtsp://warden:sesame@10.0.0.7/live"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "it has 0"),
        (b"\n", "should hold one line"),
        (b"a\nb\n", "it has 2"),
        (b"\xff", "not text"),
    ],
)
def test_a_password_file_without_a_password_is_one_clear_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "door").write_bytes(content)
    with pytest.raises(StreamcamError, match=message) as e:
        door(password_file=tmp_path / "door").uri_with_login()
    assert str(tmp_path / "door") in str(e.value)


def test_a_password_that_is_not_in_the_environment_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOOR_PASSWORD", raising=False)
    with pytest.raises(StreamcamError, match="the environment variable DOOR_PASSWORD is not set"):
        door(password_env="DOOR_PASSWORD").uri_with_login()
    monkeypatch.setenv("DOOR_PASSWORD", "")
    with pytest.raises(StreamcamError, match="DOOR_PASSWORD is empty"):
        door(password_env="DOOR_PASSWORD").uri_with_login()


@pytest.mark.parametrize(
    ("given", "checked", "split"),
    [
        (9464, "127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("9464", "127.0.0.1:9464", ("127.0.0.1", 9464)),
        (":9464", "127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", "0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("[::1]:0", "[::1]:0", ("::1", 0)),
    ],
)
def test_metrics_are_for_this_machine_unless_a_host_is_given(
    given: object, checked: str, split: tuple[str, int]
) -> None:
    config = make_config({**SAMPLE, "metrics_bind": given})
    assert config.metrics_bind == checked
    assert split_host_port(checked) == split


def test_how_rtsp_comes_can_be_said_for_one_camera_or_for_all() -> None:
    config = make_config({"sources": [{"uri": "rtsp://a/", "rtsp_transport": "udp"}, "rtsp://b/"]})
    assert [source.rtsp_transport for source in config.sources] == ["udp", None]
    assert config.rtsp_transport == "auto"
    with pytest.raises(StreamcamError, match=r"rtsp_transport is for rtsp://…"):
        make_config({"sources": [{"uri": "http://a/", "rtsp_transport": "udp"}]})
