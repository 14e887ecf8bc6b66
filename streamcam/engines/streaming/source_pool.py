"""The state of all sources on a device, and the windows that new frames complete.

All of this runs inside of work of the COMPUTE queue. It knows sources and frames, but no clips.
"""

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from streamcam.engines.device.cuda_graphs import GraphCache
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.heat_ring import HeatRings
from streamcam.engines.streaming.network import FramewiseNetwork, Network, PooledNetwork
from streamcam.engines.streaming.source_state import ReadyWindows, SourceState
from streamcam.engines.streaming.span import FrameTimes, SliceTimes, Times
from streamcam.engines.streaming.state_pool import PoolRows, StreamState
from streamcam.heat.cam import choose_classes, heat_cube
from streamcam.models.split import position_weights


class SourcePool:
    """All sources on a device: what the network and the heat rings hold of each, and what new frames bring."""

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
        """Make an empty pool. `slices`: how many make up a window. `StreamEngine` describes the other arguments."""
        self._runner, self._network, self._graphs = runner, network, graphs
        self._captured_counts = {network.span.stride, hop}
        self._top_k, self._classes = top_k, runner.class_indices(classes)
        self._rings = HeatRings(slices)
        self._pooled: PooledNetwork | None = None
        if runner.streams.captures:
            assert isinstance(network, StreamNetwork | FramewiseNetwork)
            self._pooled = network
            # A graph for n sources also computes the zeros that fill its batch up, and zeros stand for row 0. So no
            # source may have that row.
            self._start(self.new())

    def new(self, *, after_gap: bool = False) -> SourceState:
        """Make the state of a source before its first frame. `after_gap`: frames are missing before it."""
        return SourceState(SliceTimes(self._network.span), self._rings.length, after_gap=after_gap)

    def end(self, state: SourceState) -> None:
        """Free the rows of a source, if it has any."""
        if state.network_state is not None:
            self._network.release(state.network_state)
        if state.ring_state is not None:
            self._rings.state_pool.release(state.ring_state)
        state.network_state = state.ring_state = None

    def advance(
        self,
        states: Sequence[SourceState],
        pieces: Sequence[Tensor],
        pts_s: Sequence[FrameTimes],
        *,
        full: Sequence[bool],
    ) -> ReadyWindows:
        """Compute new frames of sources, and return the windows of those whose rings are full.

        Args:
            states: N sources.
            pieces: the new frames of each, uint8 [t,3,h,w] on the device.
            pts_s: the times of these frames, float64 [t].
            full: whether the frames of each make up a whole clip by now. A source after a gap whose ring is not full
                then gets the window that it would have if its video ended here.
        """
        self._start(*states)
        ready = ReadyWindows()
        for group in self._groups(states, pieces):
            group_states = [states[i] for i in group]
            times_s = [states[i].slice_times.add(pts_s[i]) for i in group]
            results = self._advance_group(group_states, torch.stack([pieces[i] for i in group]), times_s)
            if results:
                ready.add(group, group_states, results)
        for i, state in enumerate(states):
            # Once its ring is full, a source after a gap is like any other.
            state.after_gap &= not state.is_full
            if state.after_gap and full[i]:
                self._add_as_if_ended(i, state, ready)
        return ready

    def _add_as_if_ended(self, i: int, state: SourceState, ready: ReadyWindows) -> None:
        """Add the window that source i would have if its video ended here, to `ready`.

        A copy of the source is flushed. The source itself goes on, as if nothing had been asked.
        """
        assert state.network_state is not None
        assert state.ring_state is not None
        copied = replace(state, slice_times=copy.deepcopy(state.slice_times), network_state=None, ring_state=None)
        try:
            with self._graphs_cleared_if_pools_grow():
                copied.ring_state = self._rings.state_pool.fork(state.ring_state)
                copied.network_state = self._network.fork(state.network_state)
            ring_state, features = copied.ring_state, self._network.flush(copied.network_state)
            copied.network_state = None  # `flush` has released it
            if features is not None:
                rows = self._runner.streams.index_tensor([[0, ring_state.row, copied.added]])
                copied.add(copied.slice_times.next_times(features.shape[2]))
                if copied.is_full:
                    ready.add([i], [copied], self._results(features, rows))
        finally:
            self.end(copied)

    def slices(
        self, states: Sequence[SourceState], pieces: Sequence[Tensor], pts_s: Sequence[FrameTimes]
    ) -> list[tuple[int, Tensor, Times]]:
        """Compute new frames of sources, and return the slices that they complete. Rings stay as they are.

        Returns:
            For each source that has new slices, its number in `states`, the slices, float32 [t',C,h,w], and their
            times.
        """
        self._start(*states)
        new = []
        for group in self._groups(states, pieces):
            frames = torch.stack([pieces[i] for i in group])
            features = self._network.push(_network_states(states[i] for i in group), self._runner.normalise(frames))
            times_s = [states[i].slice_times.add(pts_s[i]) for i in group]
            if features is not None:
                new += list(zip(group, self._cubes(features), times_s, strict=True))
        return new

    def flush(self, state: SourceState) -> list[tuple[int, Tensor, Times]]:
        """End a source, and return its last slices as `slices` does."""
        if state.network_state is None:
            return []
        features, state.network_state = self._network.flush(state.network_state), None
        self.end(state)
        if features is None:
            return []
        (cube,) = self._cubes(features)
        return [(0, cube, state.slice_times.next_times(len(cube)))]

    def _start(self, *states: SourceState) -> None:
        """Give sources their rows, where they have none yet."""
        with self._graphs_cleared_if_pools_grow():
            for state in states:
                state.network_state = state.network_state or self._network.start()
                state.ring_state = state.ring_state or self._rings.state_pool.allocate()

    @contextmanager
    def _graphs_cleared_if_pools_grow(self) -> Iterator[None]:
        """Clear all graphs if a pool grows meanwhile: its tensors have moved, and graphs hold their addresses.

        One pool may have grown when there is no memory for the other. So this looks also after an error.
        """
        before = self._capacities()
        try:
            yield
        finally:
            if self._capacities() != before:
                self._graphs.clear()

    def _capacities(self) -> tuple[int, int]:
        return self._rings.state_pool.capacity, self._pooled.state_pool.capacity if self._pooled else 0

    def _groups(self, states: Sequence[SourceState], pieces: Sequence[Tensor]) -> list[list[int]]:
        """Group sources that can be one batch: those of one phase, with equally many new frames.

        A group is in the order of its rows, so that rows that lie side by side are read as one slice.
        """
        groups = defaultdict(list)
        for i, (stream, piece) in enumerate(zip(_network_states(states), pieces, strict=True)):
            groups[len(piece), stream.phase].append((stream.row, i))
        return [[i for _, i in sorted(group)] for group in groups.values()]

    def _advance_group(self, states: Sequence[SourceState], frames: Tensor, times_s: Sequence[Times]) -> list[Tensor]:
        """Compute new frames, uint8 [N,t,3,h,w], of N sources of one phase, as a graph where that is worth it.

        Args:
            states: the sources. Their phases, and what is known of their rings, are brought up to date.
            frames: their new frames.
            times_s: times of the slices that these complete, for each source.

        Returns:
            The results of one group of `ReadyWindows`; none while no source can have a window.
        """
        streams = _network_states(states)
        ring_rows = [state.ring_state.row for state in states if state.ring_state]
        phase = streams[0].phase
        # Made before `state.add` below, since the rings need to know how many slices there were before.
        rows = self._runner.streams.index_tensor(
            [[s.row, ring_row, state.added] for s, ring_row, state in zip(streams, ring_rows, states, strict=True)]
        )
        for state, new in zip(states, times_s, strict=True):
            state.add(new)
        network = self._pooled
        if network is None:
            features = self._network.push(streams, self._runner.normalise(frames)) if frames.shape[1] else None
            return self._results(features, rows, needed=any(state.is_full for state in states))
        for stream in streams:
            stream.phase = network.next_phase(phase, frames.shape[1])

        def compute(frames: Tensor, rows: Tensor) -> list[Tensor]:
            pool_rows = PoolRows(network.state_pool, rows[:, 0])
            features = network.run(phase, self._runner.normalise(frames), pool_rows) if frames.shape[1] else None
            return self._results(features, rows)

        # During warm-up, each push is another sequence of kernels, and buffers and rings are still being made. Other
        # counts of frames come too rarely and are too many for a graph each.
        is_usual = frames.shape[1] in self._captured_counts
        if not is_usual or phase < network.warmup_frames or self._rings.is_empty:
            return compute(frames, rows)
        # Graphs share memory, so the graph of the next group may overwrite these results while it computes.
        return [result.clone() for result in self._graphs.run(phase, compute, frames, rows)]

    def _results(self, features: Tensor | None, rows: Tensor, *, needed: bool = True) -> list[Tensor]:
        """Add new slices to the rings, and compute the results of one group of `ReadyWindows`.

        Args:
            features: new slices of the feature map, [N,K,t',h,w], if there are any.
            rows: int64 [N,3]: each source's row in the network's pool, its row in the rings, and how many slices have
                been added to that before.
            needed: whether any source has a window. If not, there are no results.
        """
        ring_rows, added = rows[:, 1], rows[:, 2]
        if features is not None:
            cube = self._cubes(features)
            self._rings.add(ring_rows, added, cube)
            added = added + cube.shape[1]
        if self._rings.is_empty or not needed:
            return []
        window, model = self._rings.window(ring_rows, added), self._runner.model
        weights = position_weights((self._rings.length,), model.windows[:1] or (1,), device=rows.device)
        logits = (window.pooled * weights[:, None]).mean(1) + model.head.bias
        groups = model.groups
        if groups is None:
            chosen = choose_classes(logits, top_k=self._top_k, classes=self._classes)
            heat, common = self._rings.heat(window, chosen), window.common
        else:
            of_groups = groups.heat(self._rings.cubes(window), groups.shares(logits))
            logits, common = groups.logits(logits), of_groups.mean(1)
            chosen = choose_classes(logits, top_k=self._top_k, classes=self._classes)
            heat = of_groups[torch.arange(len(chosen), device=chosen.device)[:, None], chosen]
        return [logits, chosen, heat * weights[:, None, None], common * weights[:, None, None]]

    def _cubes(self, features: Tensor) -> Tensor:
        """Compute heat slices, float32 [N,t,C,h,w], from slices of the feature map, [N,K,t,h,w]."""
        model = self._runner.model
        if model.windows:
            # An average pooling before the mean counts positions at the edges less. Along time, `_results` weighs.
            weights = position_weights(features.shape[3:], model.windows[1:], device=features.device)
            features = features * weights.to(features.dtype)
        return heat_cube(features, model.head.classifier.weight).transpose(1, 2)


def _network_states(states: Iterable[SourceState]) -> list[StreamState]:
    return [state.network_state for state in states if state.network_state is not None]
