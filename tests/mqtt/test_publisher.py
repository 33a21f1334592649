from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from har.errors import ConfigError
from har.mqtt.delivery import Retry
from har.mqtt.publisher import Publisher
from har.store import Store
from tests.mqtt.builders import (
    Consumer,
    Mosquitto,
    a_camera_status,
    a_danger,
    an_action,
    an_alert,
    free_port,
    wait_for,
)
from tests.mqtt.test_payloads import validate

pytestmark = pytest.mark.broker

MakePublisher = Callable[..., Publisher]
MakeConsumer = Callable[..., Consumer]


def retained(port: int) -> dict[str, Any]:
    """Give what a newcomer finds at the broker, by topic."""
    newcomer = Consumer(port, receipts=False).start()
    time.sleep(0.3)
    newcomer.stop()
    return {topic: json.loads(payload) for topic, payload, kept in newcomer.messages if kept}


def test_every_published_body_fits_its_schema_and_numbers_grow(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(mosquitto.port)
    sent: list[tuple[str, dict[str, Any]]] = []
    publisher = make_publisher(mosquitto.url, on_sent=lambda topic, body: sent.append((topic, body)))
    assert wait_for(lambda: publisher.state().connected)

    published = [
        publisher.publish(event)
        for event in (a_camera_status(), an_action(), a_danger(), an_alert("a1"), an_alert("a1", state="closed"))
    ]
    assert wait_for(lambda: len(consumer.bodies("har.alert.v1")) == 2)
    assert wait_for(lambda: len(consumer.bodies("har.danger.v1")) == 1)
    assert wait_for(lambda: len(consumer.bodies("har.action.v1")) == 1)
    assert wait_for(lambda: any(topic.endswith("/receipt") for topic, _, _ in consumer.messages))

    bodies = [json.loads(payload) for _, payload, _ in consumer.messages if payload]
    for body in bodies:
        validate(body)
    assert {body["type"] for body in bodies} == {
        f"har.{kind}.v1" for kind in ("status", "camera", "action", "danger", "alert", "receipt")
    }
    assert {body["id"]: body for body in bodies if body["id"] in {m.body["id"] for m in published}} == {
        message.body["id"]: json.loads(json.dumps(message.body)) for message in published
    }
    sequences = [message.body["sequence"] for message in published]
    assert sequences == sorted(set(sequences))
    ids = sorted(message.body["id"] for message in published)  # the consumer may have one before its sender is told so
    assert wait_for(lambda: sorted(body["id"] for _, body in sent if body["type"] != "har.status.v1") == ids)


def test_an_alert_is_retained_while_open_and_gone_after_its_end(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(mosquitto.port)
    publisher = make_publisher(mosquitto.url)

    publisher.publish(an_alert("a1"))
    assert wait_for(lambda: "har/home/alerts/a1" in retained(mosquitto.port))
    publisher.publish(an_alert("a1", state="closed"))

    assert wait_for(lambda: [b["data"]["state"] for b in consumer.bodies("har.alert.v1")] == ["raised", "closed"])
    assert wait_for(lambda: "har/home/alerts/a1" not in retained(mosquitto.port))
    assert wait_for(lambda: publisher.state().n_open == 0)


def test_200_alerts_survive_a_broker_that_is_down_and_comes_back_with_nothing(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer, store: Store
) -> None:
    consumer = make_consumer(mosquitto.port)
    publisher = make_publisher(mosquitto.url)
    assert wait_for(lambda: publisher.state().connected)
    ids = [publisher.publish(an_alert()).body["id"] for _ in range(50)]
    mosquitto.kill()
    ids += [publisher.publish(an_alert()).body["id"] for _ in range(150)]
    assert publisher.state().n_open + len(store.pending(9e12, limit=300)) > 0

    mosquitto.start()

    assert wait_for(lambda: {body["id"] for body in consumer.bodies("har.alert.v1")} == set(ids), timeout_s=60)
    assert wait_for(lambda: publisher.state().n_open == 0, timeout_s=30)
    numbers = [b["sequence"] for b in sorted(consumer.bodies("har.alert.v1"), key=lambda body: body["id"])]
    assert len(set(numbers)) == 200


def test_a_broker_that_refuses_never_holds_publish_up(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(f"mqtt://127.0.0.1:{free_port()}")
    times_s = []

    for event in [a_danger(), an_alert(), an_action(), a_camera_status()] * 10:
        started_s = time.monotonic()
        publisher.publish(event)
        times_s.append(time.monotonic() - started_s)

    assert sorted(times_s)[len(times_s) // 2] < 0.5
    assert max(times_s) < 5.0
    assert wait_for(lambda: publisher.state().error == "cannot be reached")
    assert not publisher.flush(0.2)
    assert publisher.state().connected is False


def test_nobody_listening_is_said_and_whoever_comes_gets_every_alert(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    publisher = make_publisher(mosquitto.url)
    ids = {publisher.publish(an_alert("a1", state=state)).body["id"] for state in ("raised", "acknowledged", "closed")}
    ids |= {publisher.publish(an_alert()).body["id"] for _ in range(20)}

    assert wait_for(lambda: publisher.state().listening is False)
    assert publisher.flush(10.0)
    assert publisher.state().n_open >= 23
    consumer = make_consumer(mosquitto.port)

    assert wait_for(lambda: {body["id"] for body in consumer.bodies("har.alert.v1")} == ids, timeout_s=30)
    assert wait_for(lambda: publisher.state().n_open == 0)
    assert publisher.state().listening is True


def test_a_plain_subscriber_without_receipts_gets_each_alert_once(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(mosquitto.port, receipts=False)
    publisher = make_publisher(mosquitto.url)

    ids = [publisher.publish(an_alert()).body["id"] for _ in range(10)]
    assert wait_for(lambda: len(consumer.bodies("har.alert.v1")) == 10)
    assert wait_for(lambda: publisher.state().n_open == 0)
    time.sleep(2.5)

    assert [json.loads(p)["id"] for t, p, _ in consumer.messages if "/alerts/" in t] == ids
    assert publisher.state().consumer_known is False


def test_once_a_consumer_is_known_an_alert_is_repeated_until_it_says_it_has_it(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    good = Consumer(mosquitto.port).start()
    publisher = make_publisher(mosquitto.url)
    publisher.publish(an_alert())
    assert wait_for(lambda: publisher.state().consumer_known)
    good.stop()
    deaf = make_consumer(mosquitto.port, receipts=False)

    event_id = publisher.publish(an_alert("a2")).body["id"]

    def count() -> int:
        return sum(topic == "har/home/alerts/a2" for topic, _, _ in deaf.messages)

    assert wait_for(lambda: count() >= 3)
    assert publisher.state().n_open == 1
    make_consumer(mosquitto.port)
    assert wait_for(lambda: publisher.state().n_open == 0)
    assert event_id in {body["id"] for body in deaf.bodies("har.alert.v1")}


SERVICE = textwrap.dedent("""
    import sys, time
    from har.mqtt.delivery import Retry
    from har.mqtt.publisher import Publisher
    from har.store import Store
    from tests.mqtt.builders import an_alert, a_danger
    state, url, n_alerts = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = Store(f"sqlite:///{state}/har.db")
    retry = Retry(first_s=1.0, probe_s=1.0)
    publisher = Publisher(store, url=url, site="home", version="0.1.0", model="m@1", retry=retry)
    publisher.start()
    print("up", flush=True)
    for _ in range(n_alerts):
        print(publisher.publish(an_alert()).body["id"], flush=True)
    time.sleep(600)
""")


def start_service(state: Path, url: str, *, n_alerts: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(state), url, str(n_alerts)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_alerts_of_a_service_killed_while_the_broker_is_down_come_after_its_restart(
    mosquitto: Mosquitto, make_consumer: MakeConsumer, tmp_path: Path
) -> None:
    consumer = make_consumer(mosquitto.port)
    mosquitto.kill()
    first = start_service(tmp_path / "s", mosquitto.url, n_alerts=1000)
    assert first.stdout is not None
    ids = {first.stdout.readline().strip() for _ in range(40)}
    first.kill()
    ids |= {line.strip() for line in first.stdout if line.endswith("\n")}
    first.wait()
    first.stdout.close()

    mosquitto.start()
    second = start_service(tmp_path / "s", mosquitto.url, n_alerts=0)

    try:
        assert wait_for(lambda: {b["id"] for b in consumer.bodies("har.alert.v1")} >= ids, timeout_s=60)
    finally:
        second.kill()
        second.wait()
        assert second.stdout is not None
        second.stdout.close()


def test_the_last_will_says_offline_after_a_kill_and_online_after_the_restart(
    mosquitto: Mosquitto, make_consumer: MakeConsumer, tmp_path: Path
) -> None:
    consumer = make_consumer(mosquitto.port)

    def states() -> list[str]:
        return [body["data"]["state"] for body in consumer.bodies("har.status.v1")]

    for expected in (["online", "offline"], ["online", "offline"] * 2):
        process = start_service(tmp_path / "s", mosquitto.url, n_alerts=0)
        assert wait_for(lambda expected=expected: states() == expected[:-1])
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        assert wait_for(lambda expected=expected: states() == expected)

    bodies = consumer.bodies("har.status.v1")
    for body in bodies:
        validate(body)
    assert bodies[-1]["data"]["reason"] == "connection lost"
    assert [body["sequence"] for body in bodies] == sorted({body["sequence"] for body in bodies})


def test_a_service_that_stops_says_so_itself(mosquitto: Mosquitto, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(mosquitto.url)
    assert wait_for(lambda: publisher.state().connected)

    publisher.stop()

    assert retained(mosquitto.port)["har/home/status"]["data"] == {
        "state": "offline",
        "version": "0.1.0",
        "model": "care-1@1f3c",
        "reason": "stopped",
    }


def test_a_broker_that_lost_its_memory_is_told_again_what_it_should_retain(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    make_consumer(mosquitto.port)
    publisher = make_publisher(mosquitto.url)
    publisher.publish(a_camera_status())
    publisher.publish(an_alert("a1"))
    publisher.publish(an_alert("a2"))
    publisher.publish(an_alert("a2", state="closed"))
    assert wait_for(lambda: publisher.state().n_receipts >= 3)
    assert wait_for(lambda: publisher.state().n_open == 0)

    mosquitto.kill()
    mosquitto.start()

    expected = {"har/home/status", "har/home/hall/status", "har/home/alerts/a1"}
    assert wait_for(lambda: set(retained(mosquitto.port)) == expected)


@pytest.mark.slow
def test_a_broker_that_hangs_is_given_up_and_taken_back(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(mosquitto.port)
    publisher = make_publisher(mosquitto.url, retry=Retry(hang_s=3.0))
    assert wait_for(lambda: publisher.state().connected)

    mosquitto.send_signal(signal.SIGSTOP)
    event_id = publisher.publish(an_alert()).body["id"]
    assert wait_for(lambda: not publisher.state().connected)
    mosquitto.send_signal(signal.SIGCONT)

    assert wait_for(lambda: event_id in {body["id"] for body in consumer.bodies("har.alert.v1")}, timeout_s=60)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_network_thread_that_dies_is_replaced(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(mosquitto.port)
    publisher = make_publisher(mosquitto.url)
    assert wait_for(lambda: publisher.state().connected)
    client = publisher._connection._client
    assert client is not None
    client.on_message = lambda *_: sys.exit("the callback fails")  # ends paho's thread and nothing else
    client.subscribe("poison")
    other = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    other.connect("127.0.0.1", mosquitto.port)
    other.loop_start()
    time.sleep(0.3)
    other.publish("poison", "x", qos=1).wait_for_publish(5)
    other.disconnect()
    other.loop_stop()
    assert wait_for(lambda: publisher._connection._client is not client)

    event_id = publisher.publish(an_alert()).body["id"]

    assert wait_for(lambda: event_id in {body["id"] for body in consumer.bodies("har.alert.v1")})


def test_garbage_on_the_receipt_topic_is_counted_and_stops_nothing(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    publisher = make_publisher(mosquitto.url)
    assert wait_for(lambda: publisher.state().connected)
    other = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    other.connect("127.0.0.1", mosquitto.port)
    other.loop_start()

    for payload in (b"", b"\xff", b"[" * 100_000, b"{}", b"x" * 5_000_000):
        other.publish("har/home/alerts/a1/receipt", payload, qos=1).wait_for_publish(10)
    other.disconnect()
    other.loop_stop()

    assert wait_for(lambda: publisher.state().n_rejected == 5)
    consumer = make_consumer(mosquitto.port)
    event_id = publisher.publish(an_alert()).body["id"]
    assert wait_for(lambda: event_id in {body["id"] for body in consumer.bodies("har.alert.v1")})


def test_with_a_full_disk_alerts_go_out_from_memory_and_are_saved_later(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer, store: Store
) -> None:
    consumer = make_consumer(mosquitto.port)
    publisher = make_publisher(mosquitto.url)
    assert wait_for(lambda: publisher.state().connected)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=40")

    ids = {publisher.publish(an_alert(reason="x" * 800)).body["id"] for _ in range(60)}

    assert "full" in (publisher.state().store_error or "")
    assert wait_for(lambda: {body["id"] for body in consumer.bodies("har.alert.v1")} == ids)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=100000")
    assert wait_for(lambda: publisher.state().store_error is None)
    assert wait_for(lambda: publisher.state().n_open == 0)
    ids.add(publisher.publish(an_alert()).body["id"])
    assert wait_for(lambda: {body["id"] for body in consumer.bodies("har.alert.v1")} == ids)


def test_a_broker_that_speaks_only_the_older_version_is_spoken_to_in_it(
    make_publisher: MakePublisher, make_consumer: MakeConsumer, tmp_path: Path
) -> None:
    port = free_port()
    embedded = subprocess.Popen(
        [sys.executable, "-m", "har.mqtt.embedded", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        publisher = make_publisher(f"mqtt://127.0.0.1:{port}")
        assert wait_for(lambda: publisher.state().connected)
        assert publisher.state().protocol == "3.1.1"
        consumer = make_consumer(port, protocol=MQTTv311)

        ids = {publisher.publish(an_alert()).body["id"] for _ in range(5)}
        publisher.publish(an_action())

        assert wait_for(lambda: {body["id"] for body in consumer.bodies("har.alert.v1")} == ids)
        assert wait_for(lambda: publisher.state().n_receipts == 5)
        assert wait_for(lambda: len(consumer.bodies("har.action.v1")) == 1)
    finally:
        embedded.terminate()
        embedded.wait()


def test_a_wrong_password_is_said_without_it(
    tmp_path: Path, make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    passwords.chmod(0o644)
    tmp_path.chmod(0o755)
    broker = Mosquitto(tmp_path, extra=f"password_file {passwords}\n")
    config = tmp_path / f"mosquitto-{broker.port}.conf"
    config.write_text(config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    broker.start()
    try:
        publisher = make_publisher(f"mqtt://carer:h%40nter2@127.0.0.1:{broker.port}")

        assert wait_for(lambda: "refused" in (publisher.state().error or ""))

        assert "uthor" in (publisher.state().error or "")
        for text in (caplog.text, repr(publisher.state())):
            assert "nter2" not in text
    finally:
        broker.kill()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves a refused socket open
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: apt install openssl")
def test_an_encrypted_broker_is_trusted_only_with_its_certificate(
    tmp_path: Path, make_publisher: MakePublisher
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    broker = Mosquitto(tmp_path, extra=f"certfile {certificate}\nkeyfile {key}\n")
    broker.start()
    try:
        trusting = make_publisher(f"mqtts://localhost:{broker.port}", ca=certificate)
        trusting.publish(an_alert())
        assert trusting.flush(20.0)
        trusting.stop()

        doubting = make_publisher(f"mqtts://localhost:{broker.port}")
        assert wait_for(lambda: "certificate is not trusted" in (doubting.state().error or ""))
    finally:
        broker.kill()


def test_actions_without_a_broker_are_dropped_and_counted_and_do_not_touch_the_database(
    make_publisher: MakePublisher, store: Store
) -> None:
    publisher = make_publisher(f"mqtt://127.0.0.1:{free_port()}")

    for _ in range(50):
        publisher.publish(an_action())

    assert wait_for(lambda: publisher.state().n_dropped == 50)
    assert store.count_open() == 0


def test_events_of_many_threads_all_arrive(
    mosquitto: Mosquitto, make_publisher: MakePublisher, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(mosquitto.port)
    publisher = make_publisher(mosquitto.url)
    assert wait_for(lambda: publisher.state().connected)

    def work(camera: str) -> None:
        for _ in range(10):
            publisher.publish(a_danger(camera=camera))
            publisher.publish(an_action(camera=camera))

    threads = [threading.Thread(target=work, args=(f"cam{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()

    assert wait_for(lambda: len(consumer.bodies("har.danger.v1")) == 40)
    assert wait_for(lambda: len(consumer.bodies("har.action.v1")) == 40)
    assert publisher.flush(10.0)
    for number in range(4):
        of_camera = [
            body["sequence"]
            for kind in ("har.danger.v1", "har.action.v1")
            for body in consumer.bodies(kind)
            if body["source"] == f"har/home/cam{number}"
        ]
        assert sorted(of_camera) == list(range(1, 21))


@pytest.mark.parametrize(
    "url", ["", "host", "http://host", "mqtt://", "mqtt://u:hunter2@host:99999", "mqtt://u:hunter2@host/path"]
)
def test_an_address_that_is_no_broker_is_a_users_mistake(url: str, store: Store) -> None:
    with pytest.raises(ConfigError, match="Write mqtt://") as caught:
        Publisher(store, url=url, site="home", version="1", model="m")

    assert "hunter2" not in str(caught.value)
