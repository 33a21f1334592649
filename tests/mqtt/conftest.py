"""Brokers and stores for the tests of MQTT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from har.mqtt.delivery import Retry
from har.mqtt.publisher import Publisher
from har.store import Store
from tests.mqtt.builders import MOSQUITTO, Consumer, Mosquitto

QUICK = Retry(first_s=1.0, probe_s=1.0)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/state/har.db")
    yield opened
    opened.close()


@pytest.fixture
def make_publisher(store: Store) -> Iterator[Callable[..., Publisher]]:
    made: list[Publisher] = []

    def make(url: str, **settings: object) -> Publisher:
        given = {"site": "home", "version": "0.1.0", "model": "care-1@1f3c", "retry": QUICK} | settings
        publisher = Publisher(store, url=url, **given)  # type: ignore[arg-type]
        publisher.start()
        made.append(publisher)
        return publisher

    yield make
    for publisher in made:
        publisher.stop()


@pytest.fixture
def make_consumer() -> Iterator[Callable[..., Consumer]]:
    made: list[Consumer] = []

    def make(port: int, **settings: object) -> Consumer:
        consumer = Consumer(port, **settings)  # type: ignore[arg-type]
        made.append(consumer.start())
        return consumer

    yield make
    for consumer in made:
        consumer.stop()
