"""The files of one event, while it goes on and until they are complete."""

import io
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import av.error
import numpy as np

from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.events.recording.clip import ClipWriter
from streamcam.events.recording.snapshot import packets_up_to, paint_snapshot, picture_at
from streamcam.events.recording.unfinished_folder import CLIP, HEAT, SNAPSHOT, UnfinishedFolder, complete_clip
from streamcam.records import Heat, Result
from streamcam.render.image_files import save_picture
from streamcam.render.overlay import Painter
from streamcam.sinks.heat_npz import HeatRecorder
from streamcam.sources.packet_ring import ClipStreams, PacketRing, StoredPacket

FAILURES = (av.error.FFmpegError, OSError, StreamcamError)
"""What is raised where a file cannot be written."""

GIVE_UP_S = 10.0
"""So long after its end by the clock, an event's files are completed even if the stream has not gone on for them."""

OVER_AT_ONCE = frozenset({"lost", "ended", "stopped"})
"""Reasons for an end after which nothing more comes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the time around an event its clip shows, in seconds."""

    before_s: float
    after_s: float
    longest_s: float


class Recording:
    """Writes clip, heat, snapshot and record of one event; all on one thread."""

    def __init__(
        self,
        event: Event,
        *,
        folder: UnfinishedFolder,
        ring: PacketRing | None,
        labels: tuple[str, ...],
        recent: Iterable[Result] = (),
        limits: Limits,
        painter: Painter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the folder and begin.

        Args:
            event: its first record.
            folder: where its files go; this closes it.
            ring: the source's packets; None where there are none, and so no clip.
            labels: the names of the model's classes.
            recent: the source's newest windows, in order.
            limits: how long the clip is.
            painter: paints the snapshot.
            clock: seconds of a clock that is never set.

        Raises:
            OSError or av.error.FFmpegError: it cannot be written.
        """
        self.event, self._folder, self._ring, self._limits, self._clock = event, folder, ring, limits, clock
        self._painter = painter
        self._clip: ClipWriter | None = None
        self._next: int | None = None
        """The number of the next packet to take from the ring; None before the clip begins."""
        self._clip_done = ring is None
        self._heat = HeatRecorder(folder.partial / HEAT, event.source, labels)
        self._peak_heat: Heat | None = None
        self._peak_packets: list[StoredPacket] = []
        self._peak_streams: ClipStreams | None = None
        self._ended_at_s: float | None = None
        self.missed = 0
        """Packets that had left the ring before they were written."""
        for result in recent:
            self.window(result)
        self.update(event)

    @property
    def session(self) -> int:
        """The source's session."""
        return self.event.session

    def update(self, event: Event, recent: Iterable[Result] = ()) -> None:
        """Take a later record of the event.

        Args:
            event: the record.
            recent: the source's newest windows, in order: the peak's is among them.

        Raises:
            OSError: it cannot be written.
        """
        if event.peak_pts_s != self.event.peak_pts_s or event.label != self.event.label:
            self._peak_packets, self._peak_heat = [], None
        self.event = event
        if event.state == "end" and self._ended_at_s is None:
            self._ended_at_s = self._clock()
        self._find_peak()
        for result in recent:
            self._look_for_peak(result)
        self._folder.write_record(event)

    def _find_peak(self) -> None:
        """Note the packets of the peak's picture before they leave the ring; the last ones may not be there yet."""
        if self._ring is None:
            return
        packets = packets_up_to(self._ring, self.session, self.event.peak_pts_s)
        if len(packets) > len(self._peak_packets):
            self._peak_packets, self._peak_streams = packets, self._ring.streams(self.session)

    def window(self, result: Result) -> None:
        """Take a window of the source, of any time.

        Raises:
            StreamcamError: it cannot be written.
        """
        heat = result.heat
        if heat is not None and result.frame.session == self.session and self._is_in_event(heat):
            # A rule needs the heat of all classes; what is kept is that of its own.
            rows = np.flatnonzero([label in self.event.scores for label in heat.labels])
            self._heat.on_window(replace(result, heat=heat.keep(rows)) if len(rows) else result)
        self._look_for_peak(result)

    def _look_for_peak(self, result: Result) -> None:
        """Keep the heat with a slice nearest to the peak; of several, the one that was there first."""
        heat = result.heat
        if heat is None or result.frame.session != self.session or self.event.label not in heat.labels:
            return
        if self._peak_heat is None or self._from_peak_s(heat) < self._from_peak_s(self._peak_heat) - 1e-6:
            self._peak_heat = heat

    def _from_peak_s(self, heat: Heat) -> float:
        return float(abs(heat.pts_s - self.event.peak_pts_s).min())

    def _is_in_event(self, heat: Heat) -> bool:
        is_after = self._ended_at_s is not None and heat.pts_s[0] > self.event.pts_s
        return not is_after and heat.pts_s[-1] >= self.event.start_pts_s

    def step(self) -> bool:
        """Write what has come; return whether the event's files can be completed."""
        if not self._clip_done:
            self._write_packets()
        if self._ended_at_s is None:
            return False
        return self._clip_done or self._nothing_comes()

    def _nothing_comes(self) -> bool:
        assert self._ring is not None
        assert self._ended_at_s is not None
        waited_s = self._clock() - self._ended_at_s
        is_over = self._ring.is_over(self.session) or self.event.reason in OVER_AT_ONCE
        return is_over or waited_s > self._limits.after_s + GIVE_UP_S

    def _write_packets(self) -> None:
        for packet in self._new_packets():
            if self._clip is None:
                streams = self._ring.streams(self.session) if self._ring is not None else None
                if streams is None:
                    return
                self._clip = ClipWriter(self._folder.partial / CLIP, streams)
            if self._is_beyond(packet):
                self._clip_done = True
                return
            self._clip.write(packet)
            self._next = packet.number + 1

    def _new_packets(self) -> Sequence[StoredPacket]:
        assert self._ring is not None
        if self._next is None:
            self._next = self._ring.first(self.session, self.event.start_pts_s - self._limits.before_s)
        if self._next is None:
            return []
        packets = self._ring.since(self.session, self._next)
        if packets and self._clip is not None and packets[0].number > self._next:
            self.missed += packets[0].number - self._next
        return packets

    def _is_beyond(self, packet: StoredPacket) -> bool:
        """Whether a packet comes after the clip's end. Pictures are decoded in another order than they are shown."""
        assert self._clip is not None
        time_s = packet.pts_s if packet.dts_s is None else packet.dts_s
        begin_s = self._clip.begin_s
        if begin_s is not None and time_s > begin_s + self._limits.longest_s:
            return True
        return self._ended_at_s is not None and time_s > self.event.pts_s + self._limits.after_s

    def finish(self) -> Event:
        """Complete all files; return the event with their names, as `saved`.

        Raises:
            OSError, av.error.FFmpegError or StreamcamError: one cannot be written.
        """
        if self._clip is not None:
            self._clip.close()
            complete_clip(self._folder.partial / CLIP)
        self._heat.close()
        self._add_clip_time()
        self._find_peak()
        self._save_snapshot()
        return self._folder.complete(self.event)

    def _add_clip_time(self) -> None:
        """Note beside the heat which moment of its clock the clip begins with: a clip's own times begin at 0."""
        heat = self._folder.partial / HEAT
        if self._clip is None or self._clip.begin_s is None or not heat.exists():
            return
        content = io.BytesIO()
        np.save(content, np.array(self._clip.begin_s))
        with zipfile.ZipFile(heat, "a") as archive:
            archive.writestr("clip_begin_pts_s.npy", content.getvalue())

    def _save_snapshot(self) -> None:
        if self._peak_streams is None:
            return
        image = picture_at(self._peak_packets, self._peak_streams, self.event.peak_pts_s)
        if image is not None:
            painted = paint_snapshot(image, self.event, self._peak_heat, self._painter)
            save_picture(self._folder.partial / SNAPSHOT, painted)

    def abandon(self) -> None:
        """Give up after an error, and leave nothing."""
        with suppress(*FAILURES):
            if self._clip is not None:
                self._clip.close()
        with suppress(*FAILURES):
            self._heat.close(keep=False)
        self._folder.discard()
