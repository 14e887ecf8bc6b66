"""Where each source is: what a network and the rings keep of it on the device, and what new frames of it bring.

All of this is work of the compute lane. It knows sources as tracks, and no clips.
"""

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.engines.device.cuda_graphs import GraphCache
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.heat_ring import HeatRings, SliceTimes
from streamcam.engines.streaming.network import FramewiseNetwork, Network, PooledNetwork
from streamcam.engines.streaming.state_pool import PoolRows, StreamState
from streamcam.heat.cam import choose, heat_cube
from streamcam.models.split import position_weights

Times = npt.NDArray[np.float64]
"""float64 [n,3], seconds: when what each slice has seen begins, what it speaks of, and when what it has seen ends."""


RESULTS = 4
"""Tensors of each group in `ReadyWindows`."""


@dataclass(eq=False, slots=True)
class SourceState:
    """One source, from its first frame on."""

    slice_times: SliceTimes
    slices: int
    """How many its ring has room for."""
    times_s: Times = field(default_factory=lambda: np.empty((0, 3)))
    """Of those in it."""
    added: int = 0
    """Slices that have come to its ring."""
    stream: StreamState | None = None
    """What the network keeps of it, once it has begun."""
    place: StreamState | None = None
    """Its ring."""
    cut: bool = False
    """Whether it began with a clip before which frames are missing, and has not seen enough since."""

    @property
    def is_full(self) -> bool:
        """Whether there are enough slices for a window."""
        return len(self.times_s) == self.slices

    def take(self, times_s: Times) -> None:
        """New slices have come to its ring."""
        self.times_s = np.concatenate((self.times_s, times_s))[-self.slices :]
        self.added += len(times_s)


class ReadyWindow(NamedTuple):
    """Of a source that has seen enough."""

    number: int
    """Its number in the batch,"""
    place: int
    """and its place in its group there."""
    times_s: Times
    """Of its slices."""


@dataclass
class ReadyWindows:
    """The windows of some sources as they are now."""

    results: list[Tensor] = field(default_factory=list)
    """Of each group of sources, logits [n,C], chosen classes [n,K], their heat [n,K,L',h,w], the mean [n,L',h,w]."""
    windows: list[list[ReadyWindow]] = field(default_factory=list)
    """Of each group; none of a source that has not seen enough."""

    def add(self, group: Sequence[int], states: "Sequence[SourceState]", results: Sequence[Tensor]) -> None:
        """Results of a group of sources, which these tracks are."""
        self.results += results
        each = enumerate(zip(group, states, strict=True))
        self.windows.append([ReadyWindow(i, place, state.times_s) for place, (i, state) in each if state.is_full])


class SourceStates:
    """All sources of a device."""

    def __init__(
        self,
        runner: TorchRunner,
        network: Network,
        graphs: GraphCache,
        *,
        slices: int,
        top_k: int,
        classes: Sequence[int] | None,
        hop: int | None,
    ) -> None:
        self._runner, self._network, self._graphs = runner, network, graphs
        self._usual = {network.span.stride, hop}
        self._top_k, self._classes = top_k, runner.class_numbers(classes)
        self._rings = HeatRings(slices)
        self._in_place: PooledNetwork | None = None
        if runner.streams.captures:
            assert isinstance(network, StreamNetwork | FramewiseNetwork)
            self._in_place = network
            self._begin(self.new())  # row 0 is nobody's: there, graphs may compute what is behind a batch

    def new(self, *, cut: bool = False) -> SourceState:
        """A source of which nothing has come; `cut`: frames are missing before those that will."""
        return SourceState(SliceTimes(self._network.span), self._rings.length, cut=cut)

    def end(self, state: SourceState) -> None:
        """Nothing more is coming; a source that never began does not mind."""
        if state.stream is not None:
            self._network.forget(state.stream)
        if state.place is not None:
            self._rings.state_pool.release(state.place)
        state.stream = state.place = None

    def advance(
        self, states: Sequence[SourceState], pieces: Sequence[Tensor], pts_s: Sequence[Times], *, whole: Sequence[bool]
    ) -> ReadyWindows:
        """New frames of sources, uint8 [t,3,h,w] each, with their times → their windows.

        `whole`: whose frames so far make up a clip. A source that was cut is then seen as if its video ended here.
        """
        self._begin(*states)
        ready = ReadyWindows()
        for group in self._groups(states, pieces):
            own = [states[i] for i in group]
            times_s = [states[i].slice_times.take(pts_s[i]) for i in group]
            results = self._windows(own, torch.stack([pieces[i] for i in group]), times_s)
            if results:
                ready.add(group, own, results)
        for i, state in enumerate(states):
            state.cut &= not state.is_full
            if state.cut and whole[i]:
                self._see_ended(i, state, ready)
        return ready

    def _see_ended(self, i: int, state: SourceState, ready: ReadyWindows) -> None:
        """What would be seen of a source if its video ended here; the source itself goes on."""
        assert state.stream is not None
        assert state.place is not None
        ended = replace(state, slice_times=copy.deepcopy(state.slice_times), stream=None, place=None)
        try:
            with self._growing():
                ended.place = self._rings.state_pool.fork(state.place)
                ended.stream = self._network.fork(state.stream)
            place, features = ended.place, self._network.flush(ended.stream)
            ended.stream = None
            if features is not None:
                numbers = self._runner.streams.numbers([[0, place.row, ended.added]])
                ended.take(ended.slice_times.next_times(features.shape[2]))
                if ended.is_full:
                    ready.add([i], [ended], self._look(features, numbers))
        finally:
            self.end(ended)

    def slices(
        self, states: Sequence[SourceState], pieces: Sequence[Tensor], pts_s: Sequence[Times]
    ) -> list[tuple[int, Tensor, Times]]:
        """New frames of sources → new slices: whose, float32 [t',C,h,w], and when they are; rings are left alone."""
        self._begin(*states)
        new = []
        for group in self._groups(states, pieces):
            frames = torch.stack([pieces[i] for i in group])
            features = self._network.push(_streams(states[i] for i in group), self._runner.normalise(frames))
            times_s = [states[i].slice_times.take(pts_s[i]) for i in group]
            if features is not None:
                new += list(zip(group, self._cubes(features), times_s, strict=True))
        return new

    def flush(self, state: SourceState) -> list[tuple[int, Tensor, Times]]:
        """The end of a source: its last slices."""
        if state.stream is None:
            return []
        features, state.stream = self._network.flush(state.stream), None
        self.end(state)
        if features is None:
            return []
        (cube,) = self._cubes(features)
        return [(0, cube, state.slice_times.next_times(len(cube)))]

    def _begin(self, *states: SourceState) -> None:
        with self._growing():
            for state in states:
                state.stream = state.stream or self._network.start()
                state.place = state.place or self._rings.state_pool.allocate()

    @contextmanager
    def _growing(self) -> Iterator[None]:
        """Banks may grow, if only one of them and not the other: what graphs were captured with is elsewhere then."""
        before = self._capacity()
        try:
            yield
        finally:
            if self._capacity() != before:
                self._graphs.clear()

    def _capacity(self) -> tuple[int, int]:
        return self._rings.state_pool.capacity, self._in_place.state_pool.capacity if self._in_place else 0

    def _groups(self, states: Sequence[SourceState], pieces: Sequence[Tensor]) -> list[list[int]]:
        """Group sources that can be one batch: those with as many new frames, and of the same phase.

        A group is in the order of its rows, so that rows that lie together are read as one slice.
        """
        groups = defaultdict(list)
        for i, (stream, piece) in enumerate(zip(_streams(states), pieces, strict=True)):
            groups[len(piece), stream.phase].append((stream.row, i))
        return [[i for _, i in sorted(group)] for group in groups.values()]

    def _windows(self, states: Sequence[SourceState], frames: Tensor, times_s: Sequence[Times]) -> list[Tensor]:
        """Push new frames, uint8 [N,t,3,h,w], of sources of one phase → results as in `ReadyWindows`.

        None while no source is full.

        `times_s`: those of the slices that they complete.
        """
        streams, places = _streams(states), [state.place.row for state in states if state.place]
        phase = streams[0].phase
        numbers = self._runner.streams.numbers(
            [[stream.row, place, state.added] for stream, place, state in zip(streams, places, states, strict=True)]
        )
        for state, new in zip(states, times_s, strict=True):
            state.take(new)
        network = self._in_place
        if network is None:
            features = self._network.push(streams, self._runner.normalise(frames)) if frames.shape[1] else None
            return self._look(features, numbers, wanted=any(state.is_full for state in states))
        for stream in streams:
            stream.phase = network.after(phase, frames.shape[1])

        def see(frames: Tensor, numbers: Tensor) -> list[Tensor]:
            rows = PoolRows(network.state_pool, numbers[:, 0])
            features = network.run(phase, self._runner.normalise(frames), rows) if frames.shape[1] else None
            return self._look(features, numbers)

        is_usual = frames.shape[1] in self._usual  # others are too many to capture them all
        if not is_usual or phase < network.warmup_frames or self._rings.is_empty:
            return see(frames, numbers)
        return [result.clone() for result in self._graphs.run(phase, see, frames, numbers)]

    def _look(self, features: Tensor | None, numbers: Tensor, *, wanted: bool = True) -> list[Tensor]:
        """New slices of the feature map [N,K,t',h,w], which go into the rings → results as in `ReadyWindows`."""
        places, added = numbers[:, 1], numbers[:, 2]
        if features is not None:
            cube = self._cubes(features)
            self._rings.add(places, added, cube)
            added = added + cube.shape[1]
        if self._rings.is_empty or not wanted:
            return []
        window, model = self._rings.window(places, added), self._runner.model
        weights = position_weights((self._rings.length,), model.windows[:1] or (1,), device=places.device)
        logits = (window.pooled * weights[:, None]).mean(1) + model.head.bias
        chosen = choose(logits, top_k=self._top_k, classes=self._classes)
        heat = self._rings.heat(window, chosen)
        return [logits, chosen, heat * weights[:, None, None], window.common * weights[:, None, None]]

    def _cubes(self, features: Tensor) -> Tensor:
        """Slices of the feature map [N,K,t,h,w] → heat slices, float32 [N,t,C,h,w]."""
        model = self._runner.model
        if model.windows:
            weights = position_weights(features.shape[3:], model.windows[1:], device=features.device)
            features = features * weights.to(features.dtype)
        return heat_cube(features, model.head.classifier.weight).transpose(1, 2)


def _streams(states: Iterable[SourceState]) -> list[StreamState]:
    return [state.stream for state in states if state.stream is not None]
