"""The series of one state ID: what a run adds to them, and their text format for Prometheus.

Counters, histograms and summaries are totals over all runs, because a run is too short to be scraped. A
process that started at zero each time would look to Prometheus like a counter that was reset or, if two runs
had equal counts, like one without change. Therefore a run keeps what it has added since it last published
(`Additions`), and that is added to what was published before (`Published`).
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isinf

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Sample

from run_metrics.families import FAMILIES, Family

COMPANY = ("company_id", "company_name")
STATE_ID = "state_id"
OTHERS = ("job", "instance", STATE_ID, *COMPANY)
"""Labels that every series has, or that Prometheus or the gateway adds."""

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]
"""The key of a series of a family: the name of the sample, and its labels."""


@dataclass
class Published:
    """The published values of one state ID by family and series, and the company."""

    values: dict[str, dict[Key, float]] = field(default_factory=lambda: defaultdict(dict))
    company: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, state_id: str) -> "Published":
        """Parse the series of a state ID from Prometheus' text format. Raises ValueError for other texts."""
        found = cls()
        own = (line for line in text.splitlines() if line.startswith("# TYPE") or state_id in line)
        for metric in text_string_to_metric_families("\n".join(own) + "\n"):
            if metric.name not in FAMILIES:
                continue
            for sample in metric.samples:
                if sample.labels.get(STATE_ID) == state_id:
                    labels = {name: value for name, value in sample.labels.items() if name not in OTHERS}
                    if "le" in labels:
                        labels["le"] = _bound(float(labels["le"]))
                    found.values[metric.name][sample.name, _sorted(labels)] = sample.value
                    found.company.update({name: sample.labels.get(name, "") for name in COMPANY})
        return found

    def merge(self, other: "Published") -> None:
        """Take the larger total of each series, and the gauges of families that are missing here.

        Each copy may be outdated: a file of another machine, or a gateway that was away or has lost its data.
        """
        for name, series in other.values.items():
            if FAMILIES[name].kind == "gauge":
                self.values.setdefault(name, series)
            else:
                own = self.values[name]
                own.update({key: max(value, own.get(key, 0)) for key, value in series.items()})
        self.company = self.company or other.company

    def text(self, state_id: str) -> str:
        """Return the series in Prometheus' text format."""
        common = {STATE_ID: state_id, **{name: self.company.get(name, "") for name in COMPANY}}
        registry = CollectorRegistry()
        registry.register(_Collected(self.metrics(common)))
        return generate_latest(registry).decode()

    def metrics(self, common: Mapping[str, str]) -> list[Metric]:
        """Return the families that have series, with these labels added to each."""
        found = []
        for name, family in FAMILIES.items():
            if series := self.values.get(name):
                metric = Metric(name, family.meaning, family.kind)
                metric.samples = [
                    Sample(sample, {**common, **dict(labels)}, value)
                    for (sample, labels), value in series.items()
                ]
                found.append(metric)
        return found


@dataclass
class Additions:
    """The values that a run adds to the series of one state ID. Labels that a family does not have are left
    out.
    """

    company: dict[str, str] = field(default_factory=dict)
    _totals: dict[str, dict[Key, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    _unpublished: dict[str, dict[Key, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    _gauges: dict[str, dict[Key, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter; zero makes its series known, so that Prometheus sees the first increase."""
        self._add(name, (f"{name}_total", _labels(FAMILIES[name], labels)), amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one observation to a histogram or a summary."""
        bounds = FAMILIES[name].bounds
        position = bisect_left(bounds, value)
        below = [0] * position + [1] * (len(bounds) - position)
        self.observe_many(name, value, 1, below, **labels)

    def observe_many(self, name: str, total: float, count: int, below: Iterable[int], **labels: str) -> None:
        """Add observations: their sum, their number, and how many are at most as large as each bound."""
        family = FAMILIES[name]
        own = _labels(family, labels)
        self._add(name, (f"{name}_sum", own), total)
        self._add(name, (f"{name}_count", own), count)
        if family.kind == "histogram":
            counts = dict(zip(map(_bound, family.bounds), below, strict=True)) | {"+Inf": count}
            for bound, number in counts.items():
                self._add(name, (f"{name}_bucket", _sorted({**dict(own), "le": bound})), number)

    def put(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge. Values of its family from earlier runs are removed."""
        self._gauges[name][name, _labels(FAMILIES[name], labels)] = value

    def start_at_zero(self, name: str, **labels: str) -> None:
        """Set a gauge to zero unless this run has set it."""
        self._gauges[name].setdefault((name, _labels(FAMILIES[name], labels)), 0)

    def forget(self, name: str) -> None:
        """Remove the values of a gauge from earlier runs, even if this run has none."""
        self._gauges[name].clear()

    def total(self, name: str, suffix: str, **labels: str) -> float:
        """Return what this run has added to a series; the suffix is `_total`, `_sum` or `_count`."""
        return self._totals[name].get((name + suffix, _labels(FAMILIES[name], labels)), 0)

    def label_values(self, name: str, label: str) -> set[str]:
        """Return the values of a label among the series of this run."""
        return {dict(labels)[label] for _, labels in self._totals[name]}

    def are_published(self) -> None:
        """Record that the totals are published."""
        self._unpublished.clear()

    def put_onto(self, published: Published) -> None:
        """Add the totals to the published ones, and replace the gauges."""
        for name, series in self._unpublished.items():
            totals = published.values[name]
            totals.update({key: totals.get(key, 0) + amount for key, amount in series.items()})
        published.values.update({name: dict(series) for name, series in self._gauges.items()})
        published.company = self.company or published.company

    def _add(self, name: str, key: Key, amount: float) -> None:
        self._totals[name][key] += amount
        self._unpublished[name][key] += amount


class _Collected(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def _labels(family: Family, labels: Mapping[str, str]) -> Labels:
    return _sorted({name: str(labels.get(name, "")) for name in family.labels})


def _bound(bound: float) -> str:
    """Return the bound of a bucket in the gateway's format: 10, not 10.0."""
    return "+Inf" if isinf(bound) else f"{bound:g}"


def _sorted(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))
