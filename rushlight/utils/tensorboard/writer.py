"""``SummaryWriter``: numbers, distributions, pictures and texts of a training, for TensorBoard."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from ...engine import Tensor
from . import pictures, proto
from .events import EventFile


def _number(value: Any) -> float:
    """One number of a tensor, array or number.

    Raises:
        AssertionError: for several elements.
    """
    found = pictures.array(value)
    if found.size != 1:
        raise AssertionError("scalar should be 0D")
    return float(found.reshape(()))


def _edges() -> Any:
    """TensorFlow's bins: each a tenth wider than the one before, on both sides of zero."""
    edges = []
    edge = 1e-12
    while edge < 1e20:
        edges.append(edge)
        edge *= 1.1
    return np.array([-e for e in reversed(edges)] + [0.0] + edges)


class SummaryWriter:
    """Writes event files that TensorBoard reads.

    Args:
        log_dir: the folder; by default ``runs/`` with the time and the machine's name.
        comment: is appended to the default folder's name.
        purge_step: events from this step on, of an earlier run, are hidden.
        max_queue: accepted for compatibility: nothing waits in a queue.
        flush_secs: how often, at most, what was added reaches the disk by itself.
        filename_suffix: ends the file's name.

    >>> import tempfile
    >>> from rushlight.utils.tensorboard import SummaryWriter
    >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
    ...     for step in range(3):
    ...         writer.add_scalar("loss", 1 / (step + 1), step)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            import platform

            now = time.strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{platform.node() or 'localhost'}{comment}")
        self.log_dir = os.fspath(log_dir)
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self._file: EventFile | None = None
        self._others: dict[str, EventFile] = {}
        self._main()

    def _main(self) -> EventFile:
        if self._file is None:
            self._file = EventFile(self.log_dir, self.flush_secs, self.filename_suffix)
            if self.purge_step is not None:
                event = proto.event(time.time(), self.purge_step, content=proto.session_start())
                self._file.add(event)
                self.purge_step = None
        return self._file

    def _add(
        self, value: bytes, step: Any, walltime: float | None, file: EventFile | None = None
    ) -> None:
        number = None if step is None else int(_number(step))
        when = time.time() if walltime is None else walltime
        event = proto.event(when, number, content=proto.summary(value))
        (file or self._main()).add(event)

    # ------------------------------------------------------------ numbers
    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number at a step."""
        make = proto.new_scalar if new_style else proto.scalar
        self._add(make(tag, _number(scalar_value)), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Numbers of several curves in one chart: each curve has a folder of its own."""
        for name, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, main_tag.replace("/", "_") + "_" + name)
            file = self._others.get(folder)
            if file is None:
                file = EventFile(folder, self.flush_secs, self.filename_suffix)
                self._others[folder] = file
            self._add(proto.scalar(main_tag, _number(value)), global_step, walltime, file)

    # ------------------------------------------------------------ distributions
    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How often values fall into which bins.

        ``bins``: ``"tensorflow"`` or what ``numpy.histogram`` takes.
        """
        flat = pictures.array(values).reshape(-1)
        if flat.size == 0:
            raise ValueError("The input has no element.")
        flat = flat.astype(np.float64)
        edges: Any = _edges() if isinstance(bins, str) and bins == "tensorflow" else bins
        counts, limits = np.histogram(flat, bins=edges)
        counts, limits = _joined(counts, limits, max_bins)
        counts, limits = _support(counts, limits)
        if counts.size == 0 or limits.size == 0:
            raise ValueError("The histogram is empty, please file a bug report.")
        value = proto.histogram(
            tag, float(flat.min()), float(flat.max()), float(flat.size), float(flat.sum()),
            float(flat.dot(flat)), limits.tolist(), counts.tolist(),
        )  # fmt: skip
        self._add(value, global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: int,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """A histogram that has been counted already."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        value = proto.histogram(
            tag, float(min), float(max), float(num), float(sum), float(sum_squares),
            [float(v) for v in bucket_limits], [float(v) for v in bucket_counts],
        )  # fmt: skip
        self._add(value, global_step, walltime)

    # ------------------------------------------------------------ pictures
    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: floats in 0 ... 1 or bytes, in the layout ``dataformats``."""
        x = pictures.bytes_of(pictures.laid_out(pictures.array(img_tensor), dataformats))
        self._picture(tag, x, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """A batch of pictures, in a grid."""
        if isinstance(img_tensor, list):
            img_tensor = np.stack([pictures.array(x) for x in img_tensor])
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """A picture with rectangles (left, top, right, bottom)."""
        x = pictures.bytes_of(pictures.laid_out(pictures.array(img_tensor), dataformats))
        x = pictures.boxed(x, pictures.array(box_tensor))
        self._picture(tag, x, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A matplotlib figure, or a list of them, as a picture."""
        x = pictures.figures(figure, close)
        self.add_image(tag, x, global_step, walltime, "NCHW" if x.ndim == 4 else "HWC")

    def _picture(self, tag: str, x: Any, step: Any, walltime: float | None) -> None:
        h, w, colours = x.shape
        self._add(proto.image(tag, h, w, colours, pictures.png(x)), step, walltime)

    # ------------------------------------------------------------ texts
    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """A text, shown as Markdown."""
        self._add(proto.text(tag, text_string), global_step, walltime)

    def add_graph(
        self,
        model: Any,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """The model's structure, as a text: there is no TorchScript graph to draw."""
        warnings.warn(
            "SummaryWriter.add_graph: Rushlight has no TorchScript graph; the model's structure is "
            "written as the text 'model' instead",
            stacklevel=2,
        )
        lines = "\n".join("    " + line for line in repr(model).splitlines())
        self.add_text("model", lines)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Mapping[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Hyper-parameters and the measures they led to, as a run of their own."""
        if not isinstance(hparam_dict, Mapping) or not isinstance(metric_dict, Mapping):
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        settings = {k: _setting(k, v) for k, v in hparam_dict.items() if v is not None}
        now = time.time()
        with SummaryWriter(os.path.join(self.log_dir, run_name or str(now))) as run:
            choices = dict(hparam_domain_discrete or {})
            run._add(proto.experiment(settings, list(metric_dict), choices), None, now)
            for value in proto.session(settings, now):
                run._add(value, None, now)
            for tag, value in metric_dict.items():
                run.add_scalar(tag, value, global_step)

    # ------------------------------------------------------------ files
    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def flush(self) -> None:
        """Write everything that was added to disk."""
        for file in (self._file, *self._others.values()):
            if file is not None:
                file.flush()

    def close(self) -> None:
        """Flush and close all files; adding opens them again."""
        for file in (self._file, *self._others.values()):
            if file is not None:
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *what: object) -> None:
        self.close()


def _setting(name: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        return _number(value)
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, bool | int | float | str):
        raise ValueError(
            f"value should be one of int, float, str, bool, or torch.Tensor: {name}={value!r:.80}"
        )
    return value


def _joined(counts: Any, limits: Any, most: int | None) -> tuple[Any, Any]:
    """At most about ``most`` bins: neighbours are joined."""
    if most is None or len(counts) <= most:
        return counts, limits
    take = len(counts) // most
    rest = len(counts) % take
    if rest:
        counts = np.pad(counts, [[0, take - rest]], mode="constant")
    counts = counts.reshape(-1, take).sum(axis=-1)
    edges = np.empty(counts.size + 1, limits.dtype)
    edges[:-1] = limits[:-1:take]
    edges[-1] = limits[-1]
    return counts, edges


def _support(counts: Any, limits: Any) -> tuple[Any, Any]:
    """The bins from the first that is not empty to the last, with an empty one before them: the
    file holds right limits only.
    """
    seen = np.cumsum(np.greater(counts, 0))
    start, end = (int(i) for i in np.searchsorted(seen, [0, seen[-1] - 1], side="right"))
    end += 1
    kept = counts[start - 1 : end] if start > 0 else np.concatenate([[0], counts[:end]])
    return kept, limits[start : end + 1]
