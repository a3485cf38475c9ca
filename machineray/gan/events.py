"""Metrics as a TensorBoard file, rendered whole: a resumed run has one curve, not two halves."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

_NOT_CURVES = frozenset({"nimg", "kimg", "time"})


def tensorboard_file(rows: Iterable[Mapping[str, object]]) -> bytes:
    """The event file of rows with "nimg", "time" (Unix seconds) and any numbers by name."""
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import scalar

    with tempfile.TemporaryDirectory() as folder:
        writer = EventsWriter(str(Path(folder) / "events"))
        for row in rows:
            for name, value in row.items():
                if name in _NOT_CURVES or not isinstance(value, int | float):
                    continue
                summary = scalar(name, value)
                step, wall_time = row["nimg"], row["time"]
                writer.write_event(Event(step=step, wall_time=wall_time, summary=summary))
        writer.close()
        (file,) = Path(folder).iterdir()
        return file.read_bytes()
