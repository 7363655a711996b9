"""Mail between threads: order, once per queueing, the doorbell only for a sleeper, nothing lost."""
import select
import threading

import pytest

from tests.shims import mailbox as shim


def rung(box) -> bool:
    return bool(select.select([box.event_fd], [], [], 0)[0])


def test_a_mail_runs_once_for_each_queueing() -> None:
    box = shim.Box(2)
    assert box.post(0)
    assert not box.post(0)
    assert box.post(1)
    assert box.run() == 2
    assert box.post(0)
    assert box.run() == 1
    assert box.runs == [2, 1]


def test_run_stops_at_its_bound() -> None:
    box = shim.Box(10)
    for i in range(10):
        box.post(i)
    assert box.run(4) == 4
    assert not box.may_sleep()
    assert box.run() == 6
    assert box.may_sleep()


def test_the_bell_rings_only_for_a_sleeper() -> None:
    box = shim.Box(3)
    box.post(0)
    assert not rung(box)
    assert not box.may_sleep()
    box.run()
    assert box.may_sleep()
    box.post(1)
    assert rung(box)
    box.awake(True)
    assert not rung(box)
    box.post(2)
    assert not rung(box)
    assert box.run() == 2


@pytest.mark.parametrize(("mails", "producers"), [(1, 2), (2, 3), (1000, 4)])
def test_nothing_is_lost_between_threads(mails: int, producers: int) -> None:
    box = shim.Box(mails)
    each = 30_000
    threads = [threading.Thread(target=box.post_many, args=(i * 7, each)) for i in range(producers)]
    for thread in threads:
        thread.start()
    assert box.receive_until(each * producers)
    for thread in threads:
        thread.join()
    box.run()
    assert box.may_sleep()
