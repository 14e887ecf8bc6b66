"""Count and measure what a network sees of time."""

from dataclasses import astuple, replace

import pytest
import torch
from torch import nn
from torchvision.models import get_model_weights

from streamcam.bench.temporal import (
    Agreement,
    Convolution,
    Speed,
    TemporalReport,
    comparison_videos,
    drifting_frames,
    inspect_temporal,
    list_convolutions,
    measure_agreement,
)
from streamcam.cli.output.analysis import rows, warning
from streamcam.engines.streaming.span import Span
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.head import Head
from streamcam.models.registry import load_model
from tests.support.frames import make_frame


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18", "s3d"])
def test_multiplications_are_those_that_torchvision_publishes(name: str) -> None:
    model = load_model(name, weights="none")
    clip_format = replace(model.spec.clip_format, length=16)  # which is what they are published for, also of S3D
    model = model.with_spec(replace(model.spec, clip_format=clip_format))
    total = sum(conv.macs * conv.slices for conv in list_convolutions(model))
    assert total == pytest.approx(get_model_weights(name).DEFAULT.meta["_ops"] * 1e9, rel=0.01)


def test_padding_touches_the_slices_at_the_ends_of_a_clip() -> None:
    assert Convolution(1.0, 8, Span()).padded(8) == 0
    assert Convolution(1.0, 8, Span(-1, 1)).padded(8) == 2
    assert Convolution(1.0, 4, Span(-3, 5, 2)).padded(8) == 4  # frames −3…5, −1…7, 1…9 and 3…11
    assert Convolution(1.0, 6, Span(0, 2)).padded(8) == 0


def test_a_padded_network_is_counted_and_compared(tiny: CamModel) -> None:
    report = inspect_temporal(tiny)
    # two layers over 4 slices each: of the first, two see padding; of the second, which sees two frames around, all
    first, second = 8 * 3 * 27 * 16 * 16, 6 * 8 * 27 * 8 * 8
    assert report.window_macs == 4 * (first + second)
    assert report.frame_macs == first + second
    assert report.padded == pytest.approx((2 * first + 4 * second) / (4 * (first + second)))
    assert (report.span.receptive_field, report.pads_time) == (5, True)
    assert min(report.speed.window_ms, report.speed.stream_ms) > 0
    assert report.agreement is not None
    assert report.agreement.windows == 12
    assert 0 <= report.agreement.top1 <= 1
    assert -1 <= report.agreement.cosine <= 1


def test_pictures_take_a_window_less_for_each_frame(tiny_framewise: CamModel) -> None:
    report = inspect_temporal(tiny_framewise)
    assert report.window_macs == 4 * report.frame_macs == 4 * 8 * 3 * 9 * 8 * 8
    assert (report.padded, report.pads_time, report.agreement) == (0, False, None)


def test_without_padding_both_engines_agree_entirely(tiny: CamModel) -> None:
    features = nn.Sequential(nn.Conv3d(3, 6, 3, (2, 2, 2), (0, 1, 1)), nn.ReLU(), nn.Conv3d(6, 6, 1), nn.ReLU())
    clip_format = replace(tiny.spec.clip_format, length=9)
    changes = {"clip_format": clip_format, "temporal_stride": 2, "temporal_context": 2, "temporal_offset": 1.0}
    model = CamModel(replace(tiny.spec, **changes), features, Head([nn.Linear(6, 3)]))  # type: ignore[arg-type]
    agreement = measure_agreement(model, comparison_videos(clip_format, Span(0, 2, 2)))
    assert astuple(agreement) == (12, 1.0, pytest.approx(1.0, abs=1e-5))


def test_agreement_falls_where_padding_has_a_say(tiny: CamModel) -> None:
    torch.nn.init.constant_(tiny.features[0].bias, 2.0)  # type: ignore[index]
    video = [make_frame(i) for i in range(40)]
    assert measure_agreement(tiny, [video]).cosine < 0.999


def test_a_synthetic_video_moves_and_is_the_same_every_time(tiny: CamModel) -> None:
    one, two = (drifting_frames(tiny.spec.clip_format, seed=3) for _ in range(2))
    first, second, again = next(one), next(one), next(two)
    assert (first.pixels == again.pixels).all()
    assert (first.pixels != second.pixels).any()


def a_report(model: CamModel, *, seen: int) -> TemporalReport:
    span = Span(-(seen // 2), seen // 2, 8)
    return TemporalReport(
        model.spec, span, True, 0.65, 40e9, 2.5e9, Speed("cpu", "fp32", 400.0, 50.0), Agreement(12, 0.5, 0.75)
    )


def test_the_table_says_it_in_words(tiny: CamModel) -> None:
    cells = dict(rows(a_report(tiny, seen=109), random=True))
    assert cells["a heat slice sees"] == "109 frames, 10.90 s"
    assert cells["lookahead as a stream"] == "54 frames, 5.40 s"
    assert cells["stream is faster, hop 1"] == "8.0 times (by multiplications: 16.0)"
    assert cells["stream is faster, hop 8"] == "1.0 times (by multiplications: 2.0)"
    assert "top-1 in 50% of 12 windows; centred cosine of the heat 0.75" in cells["stream says what window says"]
    assert "random weights" in cells["stream says what window says"]
    assert cells["--engine auto takes"] == "window"
    assert "random" not in dict(rows(a_report(tiny, seen=109), random=False))["stream says what window says"]


def test_a_receptive_field_beyond_the_clip_is_warned_of(tiny: CamModel) -> None:
    assert warning(a_report(tiny, seen=3)) is None
    text = warning(a_report(tiny, seen=109))
    assert text is not None
    assert "sees 109 frames, and a window has 4" in text
    assert "54 of them late" in text


def test_what_cannot_be_streamed_is_not_analyzed() -> None:
    with pytest.raises(StreamcamError, match="mobilenet_v3_small cannot be streamed: its head is not linear"):
        inspect_temporal(load_model("mobilenet_v3_small", weights="none"))
