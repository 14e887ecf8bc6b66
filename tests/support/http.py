"""Asks a server of this machine, without a proxy."""

import http.client
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Page:
    code: int
    headers: dict[str, str]
    text: str

    def samples(self) -> list[Sample]:
        """What Prometheus would read from it."""
        return [sample for family in text_string_to_metric_families(self.text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        (value,) = [sample.value for sample in self.samples() if sample.name == name and sample.labels == labels]
        return value


def ask(address: str, path: str, *, method: str = "GET", headers: Iterable[tuple[str, str]] = ()) -> Page:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        return Page(answer.status, dict(answer.getheaders()), answer.read().decode())
    finally:
        connection.close()
