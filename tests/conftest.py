import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from tests.support.frames import TINY_FORMAT
from tests.support.memory import Keeper
from tests.support.paths import SHARED
from tests.support.ports import unused_port

if TYPE_CHECKING:  # PyTorch takes seconds to load, and not every test needs it
    from streamcam.models.base import CamModel

# A shell ignores SIGINT for what it runs in the background, and so would the processes that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

VIDEOS = SHARED / "videos"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    needing = [item for item in items if "needs_cuda" in item.keywords]
    if not needing or os.environ.get("FAIL_WITHOUT_CUDA"):
        return
    import torch

    if not torch.cuda.is_available():
        for item in needing:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


keeper = Keeper()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    done = yield
    keeper.look()
    return done


@pytest.fixture
def videos() -> Path:
    """Real footage, which is not part of the project."""
    if not VIDEOS.is_dir():
        pytest.skip(f"needs the footage in {VIDEOS.name}/, beside the project")
    return VIDEOS


@pytest.fixture(scope="session")
def renderer() -> ModuleType:
    """The script that renders a cat and a cup on a table, and knows where they are."""
    import scripts.footage.render_table as render_table

    return render_table


@pytest.fixture(scope="session")
def table_clip(renderer: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip that it renders: 8 s, 480×360, 30 fps."""
    path = tmp_path_factory.mktemp("rendered") / "table.mp4"
    renderer.main(path)
    return path


@pytest.fixture
def free_port() -> int:
    return unused_port()


@pytest.fixture(scope="module")
def server_port() -> Iterator[int]:
    """An RTSP server that serves the whole module."""
    from tests.support.cameras import rtsp_server  # it imports PyAV, which not every test needs

    port = unused_port()
    with rtsp_server(port):
        yield port


@pytest.fixture
def tiny() -> "CamModel":
    """A 3D network with 3 classes that takes milliseconds: heat slices [4,8,8] for 4 frames of 16×16 pixels."""
    import torch
    from torch import nn

    from streamcam.models.base import CamModel, ModelSpec
    from streamcam.models.head import Head

    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv3d(3, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.Conv3d(8, 6, 3, (1, 2, 2), 1), nn.ReLU()
    )
    spec = ModelSpec("tiny", "a test", ("red", "green", "blue"), TINY_FORMAT, framewise=False)
    return CamModel(spec, features, Head([nn.Linear(6, 3)]))


@pytest.fixture
def tiny_framewise() -> "CamModel":
    """A framewise network, otherwise like `tiny`."""
    import torch
    from torch import nn

    from streamcam.models.base import CamModel, ModelSpec
    from streamcam.models.head import Head

    torch.manual_seed(1)
    features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
    spec = ModelSpec("tiny2d", "a test", ("red", "green", "blue"), TINY_FORMAT, framewise=True, heat_scale=2.0)
    return CamModel(spec, features, Head([nn.Linear(8, 3)]))
