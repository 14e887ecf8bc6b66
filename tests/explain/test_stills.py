"""Pictures explained: is the box on the thing, is everything in the table, does nothing get lost?"""

import csv
import shutil
from pathlib import Path
from threading import Event
from types import ModuleType

import cv2
import numpy as np
import pytest

from streamcam.errors import StreamcamError
from streamcam.explain import stills
from streamcam.explain.stills import explain_pictures, overlay_names
from streamcam.heat.localise import Box
from streamcam.models.base import CamModel
from streamcam.models.registry import load_model
from streamcam.records import Image
from streamcam.render.image_files import expand
from streamcam.sources.base import open_source
from tests.support.commands import complaint, streamcam


def frame_of(clip: Path, time_s: float) -> Image:
    source = open_source(str(clip), paced=False, start_s=time_s)
    image = next(iter(source.frames(Event()))).pixels
    source.close()
    return image


@pytest.fixture(scope="module")
def pictures(table_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cat at 0.5 s and a cup at 7 s of a rendered clip, a cat in grey, and something broken."""
    folder = tmp_path_factory.mktemp("pictures")
    cat, cup = frame_of(table_clip, 0.5), frame_of(table_clip, 7.0)
    cv2.imwrite(str(folder / "cat.png"), cat[..., ::-1])
    cv2.imwrite(str(folder / "cup.jpg"), cup[..., ::-1])
    cv2.imwrite(str(folder / "grey.png"), cv2.cvtColor(cat, cv2.COLOR_RGB2GRAY))
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("nothing to see")
    return folder


@pytest.fixture(scope="module")
def imagenet() -> CamModel:
    return load_model("imagenet")


@pytest.fixture(scope="module")
def explained(pictures: Path, imagenet: CamModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explained") / "out"
    done = explain_pictures(expand([str(pictures)]), out, model=imagenet, group="none", top_k=3, precision="fp32")
    assert (done.pictures, done.skipped) == (3, (f"{pictures / 'broken.jpg'}: not a picture that can be read",))
    return out


def rows_of(out: Path) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = {}
    with (out / "scores.csv").open() as table:
        for row in csv.DictReader(table):
            rows.setdefault(Path(row["picture"]).name, []).append(row)
    return rows


def box_of(row: dict[str, str]) -> Box:
    return Box(*(int(row[edge]) for edge in ("x0", "y0", "x1", "y1")))


def test_a_run_leaves_an_overlay_for_each_picture_a_table_and_a_sheet(explained: Path) -> None:
    overlays = {"cat-heat.jpg", "cup-heat.jpg", "grey-heat.jpg"}
    assert {path.name for path in explained.iterdir()} == {*overlays, "scores.csv", "sheet.png"}


@pytest.mark.parametrize(("name", "thing", "time_s"), [("cat.png", "cat", 0.5), ("cup.jpg", "cup", 7.0)])
def test_the_box_and_the_peak_are_on_the_thing(
    explained: Path, renderer: ModuleType, name: str, thing: str, time_s: float
) -> None:
    first = rows_of(explained)[name][0]
    truth = Box(*(round(edge) for edge in renderer.boxes(time_s)[thing]))
    assert first["class"] in {"cat": {"Egyptian cat", "tabby"}, "cup": {"espresso", "cup"}}[thing]
    assert box_of(first).iou(truth) > 0.35
    assert truth.x0 <= int(first["peak_x"]) < truth.x1
    assert truth.y0 <= int(first["peak_y"]) < truth.y1


def test_the_table_says_what_the_model_says(explained: Path, table_clip: Path, imagenet: CamModel) -> None:
    heat = imagenet.explain(frame_of(table_clip, 0.5)[None])
    best = heat.logits.argsort()[::-1][:3]
    rows = rows_of(explained)["cat.png"]
    assert [row["class"] for row in rows] == [imagenet.classes[c] for c in best]
    assert [float(row["logit"]) for row in rows] == pytest.approx(heat.logits[best].tolist(), abs=1e-2)
    assert [float(row["score"]) for row in rows] == pytest.approx(heat.scores[best].tolist(), abs=1e-3)


def test_the_overlay_is_hot_where_the_table_says_and_has_the_box(explained: Path, pictures: Path) -> None:
    first = rows_of(explained)["cat.png"][0]
    box, at = box_of(first), (int(first["peak_y"]), int(first["peak_x"]))
    paths = (pictures / "cat.png", explained / first["overlay"])
    before, after = (np.asarray(cv2.imread(str(path)), int) for path in paths)
    assert before.shape == after.shape
    change = np.abs(after - before).sum(-1)
    assert change[at] > 60
    assert (after[(box.y0 + box.y1) // 2, box.x0 : box.x0 + 3] > 200).any()  # the white edge


def test_the_asked_for_class_is_painted_and_is_in_the_table_however_weak(
    pictures: Path, imagenet: CamModel, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = explain_pictures([pictures / "cat.png"], out, model=imagenet, classes=["ESPRESSO"], top_k=2)
    assert done.pictures == 1
    rows = rows_of(out)["cat.png"]
    assert len(rows) == 2
    assert rows[1]["class"] == "espresso"
    assert float(rows[0]["score"]) > float(rows[1]["score"])


def test_files_folders_and_patterns_are_found_each_once(pictures: Path) -> None:
    cat, cup = pictures / "cat.png", pictures / "cup.jpg"
    assert expand([str(cup), str(cat), str(cup)]) == [cup, cat]
    assert expand([str(pictures / "c*")]) == [cat, cup]
    assert expand([str(pictures)]) == [pictures / n for n in ("broken.jpg", "cat.png", "cup.jpg", "grey.png")]
    assert expand([str(pictures.parent / "**" / "cat.png")]).count(cat) == 1


def test_a_name_with_brackets_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "cat[1].png"
    path.touch()
    assert expand([str(path)]) == [path]


@pytest.mark.parametrize(
    ("name", "words"), [("no.jpg", "no such file: "), ("*.xyz", "no such file: "), (".", "no pict")]
)
def test_a_name_for_nothing_is_said(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(StreamcamError, match=words):
        expand([str(tmp_path / name)])


def test_pictures_of_the_same_name_get_overlays_of_their_own(
    pictures: Path, tiny_framewise: CamModel, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(pictures / "cat.png", tmp_path / folder)
    shutil.copy(pictures / "cup.jpg", tmp_path / "b" / "CAT.jpg")
    paths = expand([str(tmp_path / "a"), str(tmp_path / "b")])
    assert list(overlay_names(paths).values()) == ["cat-heat.jpg", "CAT-heat-2.jpg", "cat-heat-3.jpg"]
    explain_pictures(paths, tmp_path / "out", model=tiny_framewise)
    assert len(list((tmp_path / "out").glob("*-heat*.jpg"))) == 3


def test_many_pictures_fill_several_sheets(
    pictures: Path, tiny_framewise: CamModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stills, "PAGE", 2)
    seen: list[int] = []
    paths = expand([str(pictures)])
    explain_pictures(paths, tmp_path / "out", model=tiny_framewise, show=seen.append)
    assert seen == [1, 2, 3, 4]
    assert {p.name for p in (tmp_path / "out").glob("sheet*")} == {"sheet-001.png", "sheet-002.png"}


@pytest.mark.parametrize("shape", [(1, 1), (2, 3000), (400, 7)])
def test_odd_pictures_are_explained(tiny_framewise: CamModel, tmp_path: Path, shape: tuple[int, int]) -> None:
    cv2.imwrite(str(tmp_path / "odd.png"), np.full((*shape, 3), 90, np.uint8))
    explain_pictures([tmp_path / "odd.png"], tmp_path / "out", model=tiny_framewise)
    overlay = cv2.imread(str(tmp_path / "out" / "odd-heat.jpg"))
    assert overlay is not None
    assert max(overlay.shape) <= stills.LONGEST


def test_two_runs_give_identical_bytes(pictures: Path, tiny_framewise: CamModel, tmp_path: Path) -> None:
    for name in "ab":
        explain_pictures(expand([str(pictures)]), tmp_path / name, model=tiny_framewise)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_earlier_outputs_and_pictures_are_safe(pictures: Path, tiny_framewise: CamModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("x")
    with pytest.raises(StreamcamError, match="is not empty: name a new folder"):
        explain_pictures([pictures / "cat.png"], out, model=tiny_framewise)
    explain_pictures([pictures / "cat.png"], out, model=tiny_framewise, force=True)
    explain_pictures([pictures / "cat.png"], out, model=tiny_framewise, force=True)
    assert {p.name for p in out.iterdir()} == {"precious.txt", "cat-heat.jpg", "scores.csv", "sheet.png"}
    with pytest.raises(StreamcamError, match="would lie among the pictures"):
        explain_pictures([pictures / "cat.png"], pictures, model=tiny_framewise, force=True)


def test_nothing_readable_is_an_error_and_leaves_nothing(
    tiny_framewise: CamModel, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(StreamcamError, match=r"cannot read .*broken\.jpg: not a picture that can be read"):
        explain_pictures([pictures / "broken.jpg"], tmp_path / "a" / "b", model=tiny_framewise)
    assert not list(tmp_path.iterdir())


def test_a_model_of_clips_is_refused_by_name(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match=r"r3d_18 looks at clips of 16 frames.*use imagenet"):
        explain_pictures([pictures / "cat.png"], tmp_path / "out", model="r3d_18")


def test_the_command_names_what_it_skips(pictures: Path, tmp_path: Path) -> None:
    arguments = [
        "image",
        str(pictures / "[bc]*"),
        "-o",
        str(tmp_path / "out"),
        "--top-k",
        "2",
        "--class",
        "espresso,cat",
    ]
    done = streamcam(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"skipped {pictures / 'broken.jpg'}" in done.stderr
    assert "2 pictures, 1 skipped" in done.stdout
    assert {row["class"] for row in rows_of(tmp_path / "out")["cat.png"]} == {"espresso", "cat"}


def test_a_missing_picture_is_one_line(tmp_path: Path) -> None:
    assert "no such file: no.jpg" in complaint("image", "no.jpg", "-o", "out", cwd=tmp_path)
    assert not list(tmp_path.iterdir())
