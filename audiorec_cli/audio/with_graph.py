"""Ogg and MP4, read by a filter graph of FFmpeg, which hands out large blocks of sound.

PyAV's objects for every packet and frame of Vorbis take half as long again as decoding them does.
"""

import contextlib

import av
from av.filter import Graph

from audiorec_cli.audio.sound import UnknownFormat
from audiorec_cli.audio.with_av import FORMATS, AvSound

TOLERANCE_S = 1.0  # of what a file tells of its length
SAMPLES_AT_A_TIME = 1 << 14  # of a channel: few enough to stay in a core's cache


class GraphSound(AvSound):
    """As AvSound, for containers that tell how long they last and where in them a second is.

    Raises UnknownFormat, too, for sound that ends before it is told to: where it is damaged or
    changes its form the graph leaves out the rest, and does not say so.
    """

    def _mono_blocks(self, start_s, end):
        graph, position = self._graph(start_s), None
        with contextlib.suppress(av.EOFError):
            while position is None or position < end:
                frame = graph.pull()
                if frame.pts is None:
                    raise UnknownFormat("has no time stamps")
                if position is None:
                    position = round(frame.pts * frame.time_base * self.rate)
                yield position, frame.to_ndarray()[0]
                position += frame.samples
        told = min(end, round((self.duration_s - TOLERANCE_S) * self.rate))
        if position is None or position < told:
            raise UnknownFormat("not audio that can be decoded")

    def _graph(self, start_s):
        """A graph that reads the file anew, and mixes it down, from start_s or earlier."""
        self._file.seek(0)
        file_start_s = (self._container.start_time or 0) / av.time_base
        graph = Graph()
        graph.threads = 1
        source = graph.add(
            "amovie",
            None,
            filename="fd:",  # no name, which could hold anything
            format_opts=f"fd={self._file.fileno()}:protocol_whitelist=fd:format_whitelist={FORMATS}",
            stream_index=str(self._stream.index),
            seek_point=str(max(0, start_s - file_start_s)),
            dec_threads="1",
        )
        n = self._stream.channels
        mean = "+".join(f"{1 / n}*c{channel}" for channel in range(n))
        steps = (
            graph.add("aformat", None, sample_fmts="fltp"),
            graph.add("asetnsamples", None, n=str(SAMPLES_AT_A_TIME), p="0"),
            graph.add("pan", f"mono|c0={mean}"),
        )
        graph.link_nodes(source, *steps, graph.add("abuffersink")).configure()
        return graph
