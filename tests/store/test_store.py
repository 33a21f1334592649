from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from har.errors import ConfigError, StoreError
from har.records import AlertEvent, DangerEvent
from har.store import Ack, Store
from har.store.tables import METADATA
from tests.mqtt.builders import a_danger, an_alert, wait_for


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Store]]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/state/har.db"
    else:
        url = request.getfixturevalue("postgres_url")
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        METADATA.drop_all(engine)
        engine.dispose()
    opened: list[Store] = []

    def open_() -> Store:
        for store in opened:
            store.close()
        opened.append(Store(url, clock=clock))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


def record(store: Store, event: AlertEvent | DangerEvent, event_id: str) -> None:
    topic = f"har/home/alerts/{event.alert}" if isinstance(event, AlertEvent) else "har/home/hall/danger"
    store.record_event(
        event,
        event_id=event_id,
        topic=topic,
        qos=1,
        retain=isinstance(event, AlertEvent),
        body=f'{{"id":"{event_id}"}}',
    )


def pending_ids(store: Store, now_s: float) -> list[str]:
    return [row.event_id for row in store.pending(now_s)]


def test_an_alert_is_there_after_a_restart_and_alerts_come_before_dangers(
    open_store: Callable[[], Store], clock: Clock
) -> None:
    store = open_store()
    record(store, a_danger(), "e1")
    record(store, an_alert("a1"), "e2")

    store = open_store()

    assert pending_ids(store, clock.now_s) == ["e2", "e1"]
    assert [(a.alert, a.body, a.delivered) for a in store.open_alerts()] == [("a1", '{"id":"e2"}', False)]


def test_a_row_waits_for_its_time_and_goes_when_it_is_done(open_store: Callable[[], Store], clock: Clock) -> None:
    store = open_store()
    record(store, an_alert("a1"), "e1")
    record(store, a_danger(), "e2")

    store.mark_acked([Ack("e1", done=False, next_try_s=clock.now_s + 4), Ack("e2", done=True, next_try_s=0)])

    assert pending_ids(store, clock.now_s + 3) == []
    assert [(row.event_id, row.tries) for row in store.pending(clock.now_s + 4)] == [("e1", 1)]
    assert (store.count_open(), store.count_unsent()) == (1, 0)


def test_a_receipt_settles_once_and_makes_the_consumer_known(open_store: Callable[[], Store], clock: Clock) -> None:
    store = open_store()
    record(store, an_alert("a1"), "e1")
    assert store.last_receipt_s() is None

    outcomes = [store.mark_receipted(event_id, consumer="desk") for event_id in ("e1", "e1", "nothing")]
    store = open_store()

    assert outcomes == ["first", "again", "unknown"]
    assert store.last_receipt_s() == clock.now_s
    assert pending_ids(store, clock.now_s) == []
    assert [alert.delivered for alert in store.open_alerts()] == [True]


def test_the_retained_message_is_cleared_only_after_the_closing_is_delivered(
    open_store: Callable[[], Store], clock: Clock
) -> None:
    store = open_store()
    record(store, an_alert("a1"), "e1")
    record(store, an_alert("a1", state="closed"), "e2")
    assert [(row.event_id, row.retain) for row in store.pending(clock.now_s)] == [("e1", False), ("e2", True)]

    store.mark_receipts([("e1", "desk"), ("e2", "desk")])

    assert [(row.kind, row.body, row.retain) for row in store.pending(clock.now_s)] == [("clear", "", True)]
    assert store.closed_topics(since_s=0.0) == []
    store.mark_acked([Ack("e2-clear", done=True, next_try_s=0)])
    assert store.closed_topics(since_s=0.0) == ["har/home/alerts/a1"]
    assert (store.open_alerts(), store.count_open()) == ([], 0)


def test_waking_one_row_takes_the_newest_alert(open_store: Callable[[], Store], clock: Clock) -> None:
    store = open_store()
    for number in range(3):
        record(store, an_alert(f"a{number}"), f"e{number}")
    store.mark_acked([Ack(f"e{number}", done=False, next_try_s=clock.now_s + 9e9) for number in range(3)])

    store.wake(limit=1)
    assert pending_ids(store, clock.now_s) == ["e2"]
    store.wake()
    assert pending_ids(store, clock.now_s) == ["e0", "e1", "e2"]


def test_numbers_grow_per_camera_and_over_restarts(open_store: Callable[[], Store]) -> None:
    store = open_store()
    first = [store.next_sequence("hall") for _ in range(1500)]
    store = open_store()

    second = [store.next_sequence("hall") for _ in range(3)]

    assert first == list(range(1, 1501))
    assert second[0] > 1500
    assert second == sorted(set(second))
    assert store.next_sequence("kitchen") == 1


def test_settled_dangers_are_purged_and_settled_alerts_kept_a_while(
    open_store: Callable[[], Store], clock: Clock
) -> None:
    store = open_store()
    record(store, a_danger(), "e1")
    record(store, an_alert("a1"), "e2")
    store.mark_acked([Ack("e1", done=True, next_try_s=0), Ack("e2", done=True, next_try_s=0)])

    store.purge()
    assert store.mark_receipted("e2", consumer="desk") == "first"
    clock.now_s += 31 * 86400
    store.purge()

    assert store.mark_receipted("e2", consumer="desk") == "unknown"
    assert len(store.open_alerts()) == 1


def test_a_reason_with_a_nul_in_it_is_no_obstacle(open_store: Callable[[], Store]) -> None:
    store = open_store()

    record(store, an_alert("a1", reason="odd\0text"), "e1")

    assert len(store.open_alerts()) == 1


def test_a_second_service_on_the_database_is_refused_in_one_line(open_store: Callable[[], Store]) -> None:
    store = open_store()
    url = store._url

    with pytest.raises(StoreError, match="another har service is using this") as caught:
        Store(url)

    assert "\n" not in str(caught.value)


def test_a_service_in_another_process_is_named_and_after_its_death_the_folder_is_free(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/har.db"
    script = (
        f"from har.store import Store\nimport time\nstore = Store({url!r})\nprint('open', flush=True)\ntime.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"open\n"

    with pytest.raises(StoreError, match=rf"process {other.pid}\b"):
        Store(url)
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdout.close()

    Store(url).close()


def test_every_event_recorded_before_a_kill_is_there(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        from har.store import Store
        from tests.mqtt.builders import an_alert
        store = Store("sqlite:///{tmp_path}/har.db")
        for number in range(10_000):
            store.record_event(an_alert(), event_id=f"e{{number}}", topic="t", qos=1, retain=True, body="{{}}")
            print(number, flush=True)
    """)
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    assert child.stdout is not None
    said = 0
    while said < 60:
        said = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.stdout.close()
    child.wait()
    promised = int(rest[-1]) if rest else said

    store = Store(f"sqlite:///{tmp_path}/har.db")
    rows = store.pending(9e12, limit=20_000)
    alerts = store.open_alerts()
    store.close()

    assert [row.event_id for row in rows[: promised + 1]] == [f"e{number}" for number in range(promised + 1)]
    assert len(rows) == len(alerts)


@pytest.mark.parametrize("damage", ["garbage", "truncated", "header"])
def test_a_damaged_database_is_set_aside_and_the_service_goes_on(tmp_path: Path, damage: str, clock: Clock) -> None:
    path = tmp_path / "har.db"
    store = Store(f"sqlite:///{path}", clock=clock)
    last = [store.next_sequence("hall") for _ in range(5)][-1]
    for number in range(200):
        record(store, an_alert(f"a{number}", reason="x" * 200), f"e{number}")
    store.close()
    data = bytearray(path.read_bytes())
    if damage == "garbage":
        data[8192:40960] = os.urandom(32768)
    elif damage == "header":
        data[:100] = b"no database at all".ljust(100)
    path.write_bytes(data[: len(data) // 2] if damage == "truncated" else data)

    store = Store(f"sqlite:///{path}", clock=clock)

    assert store.notice is not None
    assert "set aside as har.db.damaged-" in store.notice
    assert len(list(tmp_path.glob("har.db.damaged-*"))) >= 1
    assert store.next_sequence("hall") > last
    record(store, an_alert("new"), "new")
    assert "new" in pending_ids(store, clock.now_s + 1)
    store.close()
    assert Store(f"sqlite:///{path}", clock=clock).notice is None


def test_unsettled_alerts_are_saved_out_of_a_damaged_database(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "har.db"
    store = Store(f"sqlite:///{path}", clock=clock)
    record(store, an_alert("a1"), "e1")
    store.close()
    with sqlite3.connect(path) as connection:  # an index that disagrees with its table: damaged, and readable
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET rootpage = 3 WHERE name = 'outbox_alert'")
    connection.close()

    store = Store(f"sqlite:///{path}", clock=clock)

    assert store.notice is not None
    assert "1 unsettled messages and 1 alerts saved" in store.notice
    assert pending_ids(store, clock.now_s) == ["e1"]
    assert [alert.alert for alert in store.open_alerts()] == ["a1"]
    store.close()


def test_a_full_disk_is_said_in_one_line_and_nothing_written_is_lost(tmp_path: Path, clock: Clock) -> None:
    store = Store(f"sqlite:///{tmp_path}/har.db", clock=clock)
    limit_pages(store, 40)
    written: list[str] = []

    with pytest.raises(StoreError, match="full") as caught:
        fill(store, written)

    assert "Free some space" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert store.next_sequence("hall") < store.next_sequence("hall")
    assert len(pending_ids(store, clock.now_s)) == min(100, len(written)) > 0
    limit_pages(store, 100_000)
    record(store, an_alert("later"), "later")
    store.close()


def fill(store: Store, written: list[str]) -> None:
    for number in range(1000):
        record(store, an_alert(f"a{number}", reason="x" * 500), f"e{number}")
        written.append(f"e{number}")


def limit_pages(store: Store, n_pages: int) -> None:
    """Make SQLite believe that its disk has room for so many pages."""
    with store._engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={n_pages}")


def test_a_password_of_the_database_is_never_shown() -> None:
    with pytest.raises((StoreError, ConfigError)) as caught:
        Store("postgresql://har:hunter2@127.0.0.1:1/none")

    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["har.db", "mysql://localhost/har", "sqlite:/wrong:::"])
def test_an_address_that_is_no_database_is_a_users_mistake(url: str) -> None:
    with pytest.raises(ConfigError):
        Store(url)


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="state folder"):
        Store(f"sqlite:///{tmp_path}/file/state/har.db")


def test_several_threads_may_record_at_once(tmp_path: Path, clock: Clock) -> None:
    store = Store(f"sqlite:///{tmp_path}/har.db", clock=clock)
    numbers: list[int] = []

    def work(name: int) -> None:
        for number in range(10):
            record(store, an_alert(f"a{name}-{number}"), f"e{name}-{number}")
            numbers.append(store.next_sequence("hall"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()

    assert wait_for(lambda: not any(thread.is_alive() for thread in threads))
    assert store.count_open() == 40
    assert sorted(numbers) == list(range(1, 41))
    store.close()
