"""Names of files, folders and classes that are not valid text, or hold control characters, in all outputs."""

import csv
import json
import os
import shutil
import struct
from contextlib import closing
from pathlib import Path
from threading import Event

import av
import numpy as np
import PIL.Image
import pytest

from streamcam.errors import one_line
from streamcam.explain.film import explain
from streamcam.explain.stills import explain_pictures, overlay_names
from streamcam.files import write_json
from streamcam.models.base import CamModel
from streamcam.render.contact_sheet import Cell, grid
from streamcam.render.image_files import expand, read_picture
from streamcam.sources.base import open_source
from streamcam.train.data.dataset import read_dataset
from tests.support.commands import streamcam

NAMES = {
    "not text": b"\xff\xfe-name",
    "line": b"a\nb",
    "escape": b"x\x1b[2J\x1b[31my",
    "turned round": "a\u202eb\u200f".encode(),
    "far": "камера 猫 🐈".encode(),
    "brackets": b"[red]a[bold]",
}
RAW = os.fsdecode(NAMES["not text"])


@pytest.fixture(params=list(NAMES.values()), ids=list(NAMES))
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with an odd name, and in it a picture and a clip with that name."""
    name = os.fsdecode(request.param)
    folder = tmp_path / name
    folder.mkdir()
    PIL.Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(folder / f"{name}.png")
    with av.open(str(folder / f"{name}.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for i in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 30 * i, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return folder


def test_pictures_of_any_name_are_explained(folder: Path, tiny_framewise: CamModel) -> None:
    out = folder / "out"
    (path,) = expand([str(folder)])
    assert explain_pictures([path], out, model=tiny_framewise).pictures == 1
    with (out / "scores.csv").open(encoding="utf-8", newline="") as table:  # UTF-8, whatever the name
        rows = list(csv.DictReader(table))
    assert rows[0]["picture"].encode("ascii", "backslashreplace") == str(path).encode("ascii", "backslashreplace")
    overlay = next(p for p in out.iterdir() if p.name.endswith("-heat.jpg"))
    assert read_picture(overlay).shape[2] == 3


def test_a_video_of_any_name_is_read_explained_and_recorded(folder: Path, tiny: CamModel) -> None:
    path = folder / f"{folder.name}.mp4"
    with closing(open_source(str(path), paced=False)) as source:
        frames = list(source.frames(Event()))
    assert len(frames) == 8
    assert source.name.isascii()
    done = explain(str(path), folder / "out", model=tiny)
    assert done.frames == 8
    (folder / "out" / "frames.csv").read_text(encoding="utf-8")
    with av.open(str(folder / "out" / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 8


def test_a_name_of_the_greatest_length_has_an_overlay(tmp_path: Path, tiny_framewise: CamModel) -> None:
    names = ["x" * 251, "x" * 250 + "y", "猫" * 83]
    for name in names:
        PIL.Image.fromarray(np.full((9, 9, 3), 90, np.uint8)).save(tmp_path / f"{name}.png")
    paths = expand([str(tmp_path)])
    assert explain_pictures(paths, tmp_path / "out", model=tiny_framewise).pictures == 3
    assert len(set(overlay_names(paths).values())) == 3


@pytest.mark.parametrize("text", [RAW, "a\nb", "x\x1b[2Jy", "\0", "\ud800", "a" * 5000, "🐈" * 50, ""])
def test_any_text_can_be_drawn(text: str) -> None:
    sheet = grid([Cell(np.zeros((40, 60, 3), np.uint8), (text, text))], columns=1, width=60, title=text)
    assert sheet.dtype == np.uint8
    assert text == "" or one_line(text).isprintable()


def test_json_holds_a_name_that_is_not_text_and_gives_it_back(tmp_path: Path) -> None:
    names = [os.fsdecode(name) for name in NAMES.values()]
    write_json(tmp_path / "x.json", {"names": names})
    content = (tmp_path / "x.json").read_bytes().decode("utf-8")
    assert json.loads(content)["names"] == names
    assert "猫" in content


def test_clips_of_any_name_are_divided_and_hashed(folder: Path) -> None:
    for label in ("a", "b"):
        (folder / "data" / label).mkdir(parents=True)
        for i in range(2):
            clip = folder / "data" / label / f"{folder.name}{i}.mp4"
            shutil.copy(folder / f"{folder.name}.mp4", clip)
            with clip.open("ab") as file:  # equal files would be one clip: an empty box of its own, which says nothing
                file.write(struct.pack(">I4sI", 12, b"free", 2 * i + (label == "a")))
    data = read_dataset(folder / "data", need_s=0.1, val_share=0.5, multi_label=False)
    assert len(data.train) + len(data.val) == 4


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_terminal_is_told_in_letters_that_it_knows(tmp_path: Path, encoding: str) -> None:
    """One call with all names prints one line for each, which the terminal can show, without control characters."""
    for raw in NAMES.values():
        name = os.fsdecode(raw)
        (tmp_path / f"{name}-broken.jpg").write_bytes(b"no")
    out = tmp_path / RAW
    PIL.Image.fromarray(np.full((9, 9, 3), 90, np.uint8)).save(tmp_path / f"{RAW}.png")
    done = streamcam(
        *(
            "image",
            str(tmp_path),
            "-o",
            str(out),
            "--model",
            "mobilenet_v3_small",
            "--weights",
            "none",
            "--precision",
            "fp32",
        ),
        first=f"for stream in (sys.stdout, sys.stderr): stream.reconfigure(encoding={encoding!r}, errors='strict')",
    )
    assert done.returncode == 0, done.stderr
    assert f"1 pictures, {len(NAMES)} skipped" in done.stdout
    skipped = [line for line in done.stderr.splitlines() if line.startswith("skipped ")]
    assert len(skipped) == len(NAMES)
    for line in (done.stdout + done.stderr).splitlines():
        assert line.isprintable(), line
        assert encoding == "utf-8" or line.isascii()


def test_a_mistake_with_such_a_name_is_one_line(tmp_path: Path) -> None:
    for arguments in (("image", f"{RAW}.png", "-o", "out"), ("x\x1b[2J",), ("run", f"{RAW}\x1b[2J.mp4")):
        done = streamcam(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert done.stderr.rstrip("\n").isprintable()
