"""Video decoded on a GPU. What needs no GPU runs on the CPU, whose surfaces are seen as tensors just so."""

import logging
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame

from streamcam.config.load import make_config
from streamcam.errors import StreamcamError
from streamcam.gpu import decoder as nvdec
from streamcam.gpu.decoder import GpuDecoder, decoders_on, gpu_image
from streamcam.gpu.image import TorchImage
from streamcam.models.base import CamModel
from streamcam.records import Frame, Heat, Image, Picture, Result, on_host
from streamcam.render.overlay import Painter
from streamcam.runtime.app import Live, assemble
from streamcam.sinks.base import Sink
from streamcam.sources.base import open_source
from streamcam.sources.pixels.decoder import Decoder
from streamcam.transport.messages import encode_picture
from tests.support.cameras import stop_after
from tests.support.commands import streamcam
from tests.support.images import OLD_ENCODER, a_scene, apart, psnr_db
from tests.support.messages import STAMP
from tests.support.write_clip import turn_clockwise, write_clip

pytestmark = OLD_ENCODER
FFMPEG_ROUNDS = 3
"""Grey levels by which FFmpeg's tables are off."""


def smooth(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def a_decoded(width: int, height: int, *, matrix: int, full: bool, pixels: str) -> VideoFrame:
    """A smooth picture, as a decoder gives it."""
    picture = VideoFrame.from_ndarray(smooth(a_scene(height, width), 5), format="rgb24")
    decoded = picture.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=2 if full else 1)
    decoded.colorspace, decoded.color_range = matrix, 2 if full else 1
    return decoded


def by_ffmpeg(decoded: VideoFrame) -> Image:
    return np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8)


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5, 9], ids=["bt709", "bt601", "bt2020"])
@pytest.mark.parametrize(("width", "height"), [(320, 240), (322, 182), (2, 2)])
def test_colours_are_those_of_the_host(width: int, height: int, matrix: int, full: bool) -> None:
    decoded = a_decoded(width, height, matrix=matrix, full=full, pixels="yuv420p")  # as the CPU decodes it
    assert apart(gpu_image(decoded.reformat(format="nv12")), by_ffmpeg(decoded)) <= FFMPEG_ROUNDS


def test_an_odd_picture_has_colours_to_its_last_row_and_column() -> None:
    """FFmpeg interpolates the chroma of pictures of odd height, and PyAV shows no chroma of a last row or column."""
    decoded = a_decoded(321, 181, matrix=1, full=False, pixels="yuv420p")
    got, expected = gpu_image(decoded.reformat(format="nv12")).fetch(), by_ffmpeg(decoded)
    assert got.shape == expected.shape
    for edge in (np.s_[-1], np.s_[:, -1]):
        assert np.abs(got[edge].astype(float) - expected[edge]).mean() < 6
    assert np.abs(got.astype(float) - expected).mean() < 3


def test_ten_bits_are_rounded_to_eight() -> None:
    fine, coarse = (a_decoded(320, 240, matrix=1, full=False, pixels=pixels) for pixels in ("p010le", "nv12"))
    assert 0 < apart(gpu_image(fine), gpu_image(coarse)) <= 3


def test_what_a_decoder_gives_in_another_layout_is_refused() -> None:
    decoded = a_decoded(64, 48, matrix=1, full=False, pixels="yuv444p")
    with pytest.raises(NotImplementedError, match=r"expected NV12 or P010|unsupported"):  # the latter is PyAV 17's
        gpu_image(decoded)


class OnCpu:
    """A decoder whose surfaces are the CPU's: all but that is as on a GPU."""

    hwaccel = None

    def __init__(self) -> None:
        self.count = 0

    def picture(self, decoded: VideoFrame) -> TorchImage | None:
        self.count += 1
        return gpu_image(decoded.reformat(format="nv12"))


class Refusing(OnCpu):
    def picture(self, decoded: VideoFrame) -> TorchImage | None:
        self.count += 1
        return None


def read(uri: str, decoder: Decoder | None, **options: Any) -> list[Frame]:
    with closing(open_source(uri, decoder=decoder, paced=False, **options)) as source:
        return list(source.frames(Event()))


@pytest.mark.slow
def test_a_file_is_the_same_but_for_rounding() -> None:
    host, there = read("sample", None), read("sample", OnCpu())
    assert len(host) == len(there) > 100
    for a, b in zip(host, there, strict=True):
        assert (a.index, a.pts_s, a.session) == (b.index, b.pts_s, b.session)
    for a, b in islice(zip(host, there, strict=True), 0, None, 20):
        assert isinstance(b.image, TorchImage)
        assert apart(a.picture, b.picture) <= FFMPEG_ROUNDS
    assert repr(there[0].image) == "uint8[360, 640, 3] on cpu"
    assert "uint8[360, 640, 3] on cpu" in repr(there[0])


def test_a_video_of_a_turned_phone_is_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", [smooth(a_scene(64, 96), 2)] * 2)
    (upright, *_) = read(str(path), OnCpu())
    turn_clockwise(path)
    (host, *_), (there, *_) = read(str(path), None), read(str(path), OnCpu())
    assert np.array_equal(there.pixels, np.rot90(upright.pixels, -1))
    assert there.picture.shape == (96, 64, 3)
    assert apart(host.picture, there.picture) <= FFMPEG_ROUNDS


def test_a_camera_is_decoded_by_it_as_well(server_port: int) -> None:
    uri, decoder = f"rtsp://127.0.0.1:{server_port}/live", OnCpu()
    with stop_after(30) as stop, closing(open_source(uri, decoder=decoder)) as source:
        frames = list(islice(source.frames(stop), 5))
    assert [type(frame.image) for frame in frames] == [TorchImage] * 5
    assert [frame.index for frame in frames] == list(range(5))


def test_what_the_decoder_does_not_take_the_cpu_decodes_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    decoder = Refusing()
    host, there = read("sample", None), read("sample", decoder)
    assert decoder.count == 1
    assert len(there) == len(host)
    assert all(
        isinstance(b.image, np.ndarray) and np.array_equal(a.pixels, b.image)
        for a, b in islice(zip(host, there, strict=True), 0, None, 20)
    )
    assert [r.message for r in caplog.records] == ["sample is decoded on the CPU: the other decoder does not take it"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_cpu_decodes_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StreamcamError, match="cuda:0 gives no decoder"):
        GpuDecoder(torch.device("cuda:0"))
    assert decoders_on([torch.device("cuda:0"), torch.device("cuda:1")]) == []
    (line,) = [record.message for record in caplog.records]
    assert line.startswith("decoding on the CPU: cuda:0 gives no decoder (is libnvcuvid there?")


def test_a_network_on_the_cpu_has_its_video_decoded_there(caplog: pytest.LogCaptureFixture) -> None:
    assert decoders_on([torch.device("cpu")]) == []
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "--device cuda" in caplog.text


class Seen(Sink):
    def __init__(self) -> None:
        self.windows: list[Heat] = []
        self.frames: list[Frame] = []
        self.overlays: list[Picture] = []
        self._painter = Painter()

    def on_frame(self, result: Result) -> None:
        self.frames.append(result.frame)
        painted = self._painter.overlay(result)
        self.overlays.append(painted)
        encode_picture("overlay", result, painted, STAMP)

    def on_window(self, result: Result) -> None:
        assert result.heat is not None
        self.windows.append(result.heat)


def run(model: CamModel | None, tmp_path: Path, name: str, *, device: str = "cpu", decode: str) -> tuple[Live, Seen]:
    options = {
        "sources": ["sample"],
        "device": device,
        "decode": decode,
        "precision": "fp32",
        "as_fast_as_possible": True,
        "max_frames": 40,
        "bind": None,
        "record": None if name == "unrecorded" else tmp_path / f"{name}.mp4",
    }
    seen = Seen()
    with ExitStack() as stack:
        live = assemble(make_config(options), stack, model=model, sinks=[seen])
        live.pipeline.run()
    return live, seen


def alike(a: Seen, b: Seen) -> None:
    assert len(a.windows) == len(b.windows) > 0
    for one, other in zip(a.windows, b.windows, strict=True):
        assert np.abs(one.logits - other.logits).max() < 0.05 * np.abs(one.logits).max()
        assert one.scores.max() == pytest.approx(other.scores.max(), abs=0.05)
    for painted, expected in islice(zip(a.overlays, b.overlays, strict=True), 5, None, 10):
        assert psnr_db(on_host(painted), on_host(expected)) > 38
    assert len(a.frames) == len(b.frames) == 40


@pytest.mark.slow
def test_a_run_is_the_same_but_for_rounding(tmp_path: Path, tiny: CamModel, monkeypatch: pytest.MonkeyPatch) -> None:
    _, host = run(tiny, tmp_path, "host", decode="cpu")
    decoder = OnCpu()
    monkeypatch.setattr("streamcam.runtime.torch_network.decoders_on", lambda _: [decoder])
    _, there = run(tiny, tmp_path, "there", decode="cuda")
    assert decoder.count >= 40
    assert all(isinstance(painted, TorchImage) for painted in there.overlays)
    alike(host, there)
    with av.open(str(tmp_path / "host.mp4")) as a, av.open(str(tmp_path / "there.mp4")) as b:
        pairs = list(zip(a.decode(video=0), b.decode(video=0), strict=True))
    assert len(pairs) == 40
    assert min(psnr_db(by_ffmpeg(x), by_ffmpeg(y)) for x, y in pairs[::10]) > 33  # coded twice, each with its own loss


def test_what_is_watched_but_not_recorded_is_never_fetched(
    tmp_path: Path, tiny: CamModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(_: TorchImage) -> Image:
        raise AssertionError("a picture of full size crossed the bus")

    monkeypatch.setattr(TorchImage, "fetch", fetched)
    monkeypatch.setattr("streamcam.runtime.torch_network.decoders_on", lambda _: [OnCpu()])
    _, seen = run(tiny, tmp_path, "unrecorded", decode="cuda")
    assert len(seen.frames) == 40


@pytest.mark.needs_cuda
def test_a_gpu_decodes_what_the_cpu_does() -> None:
    """Also while all of it is held: the decoder takes its surfaces back, and the pictures stay."""
    decoder = GpuDecoder(torch.device("cuda:0"))
    host, there = read("sample", None), read("sample", decoder)
    assert [(f.index, f.pts_s, f.session) for f in host] == [(f.index, f.pts_s, f.session) for f in there]
    for a, b in zip(host, there, strict=True):
        assert repr(b.image) == "uint8[360, 640, 3] on cuda:0"
        assert apart(a.picture, b.picture) <= FFMPEG_ROUNDS + 1


@pytest.mark.needs_cuda
def test_a_camera_is_decoded_by_a_gpu(server_port: int) -> None:
    decoder = GpuDecoder(torch.device("cuda:0"))
    uri = f"rtsp://127.0.0.1:{server_port}/live"
    with stop_after(30) as stop, closing(open_source(uri, decoder=decoder)) as source:
        assert [type(frame.image) for frame in islice(source.frames(stop), 5)] == [TorchImage] * 5


@pytest.mark.needs_cuda
def test_what_a_gpu_cannot_decode_the_cpu_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = read("lavfi:testsrc2=size=320x240:rate=10:duration=1", GpuDecoder(torch.device("cuda:0")))
    assert [type(frame.image) for frame in frames] == [np.ndarray] * 10
    assert len(caplog.records) == 1


@pytest.mark.needs_cuda
def test_a_run_on_a_gpu_is_that_of_the_host_and_no_memory_is_lost(tmp_path: Path, tiny: CamModel) -> None:
    _, host = run(tiny, tmp_path, "host", device="cuda", decode="cpu")
    _, there = run(tiny, tmp_path, "there", device="cuda", decode="cuda")
    assert all(isinstance(painted, TorchImage) for painted in there.overlays)
    alike(host, there)
    there.frames.clear()
    there.overlays.clear()
    used = torch.cuda.memory_allocated()
    for _ in range(3):
        run(tiny, tmp_path, "unrecorded", device="cuda", decode="cuda")
    assert torch.cuda.memory_allocated() <= used + 2**20


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_command_line_says_so_in_one_line_and_goes_on() -> None:
    options = ["--decode", "cuda", "--bind", "none", "--as-fast-as-possible", "--max-frames", "80"]
    done = streamcam("run", "sample", *options)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "decod" in line]
    assert told == ["decoding on the CPU: --decode cuda is for networks that run on --device cuda"]
    assert "80 frames" in done.stdout


def a_decoder() -> GpuDecoder:
    """Made without a GPU to ask."""
    decoder = GpuDecoder.__new__(GpuDecoder)
    decoder.device = torch.device("cuda:0")
    return decoder


def test_a_layout_that_cannot_be_seen_as_tensors_is_left_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_: VideoFrame) -> TorchImage:
        raise NotImplementedError("unsupported sw_format for DLPack export")

    monkeypatch.setattr(nvdec, "gpu_image", unsupported)
    surface: Any = SimpleNamespace(format=SimpleNamespace(name="cuda"))
    assert a_decoder().picture(surface) is None
    assert a_decoder().picture(a_decoded(64, 48, matrix=1, full=False, pixels="nv12")) is None  # decoded by the CPU


def test_a_gpu_that_is_full_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: VideoFrame) -> TorchImage:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 6.00 MiB.")

    monkeypatch.setattr(nvdec, "gpu_image", full)
    surface: Any = SimpleNamespace(format=SimpleNamespace(name="cuda"))
    with pytest.raises(StreamcamError, match="cuda:0 has not enough memory for pictures: leave out --decode cuda"):
        a_decoder().picture(surface)
