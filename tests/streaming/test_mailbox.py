"""Mailbox: the newest item wins, and nothing waits for ever."""

import threading
import time

import pytest

from perception_nodes.streaming.mailbox import Mailbox


def test_the_latest_wins():
    box = Mailbox()
    assert [box.put(i) for i in range(4)] == [0, 1, 1, 1]
    assert box.get() == 3 and box.replaced == 3 and len(box) == 0


def test_a_larger_box_keeps_order():
    box = Mailbox(3)
    for i in range(5):
        box.put(i)
    assert [box.get() for _ in range(3)] == [2, 3, 4]


def test_get_waits_no_longer_than_told():
    start = time.monotonic()
    assert Mailbox().get(timeout=0.05) is None
    assert 0.04 < time.monotonic() - start < 2


def test_close_wakes_the_waiting_and_refuses_more():
    box, got = Mailbox(), []
    thread = threading.Thread(target=lambda: got.append(box.get()))
    thread.start()
    box.close()
    thread.join(5)
    assert got == [None] and box.put(1) == 0 and box.get() is None


def test_every_item_is_taken_or_counted():
    box, got = Mailbox(), []

    def work():
        while (item := box.get()) is not None:
            got.append(item)

    thread = threading.Thread(target=work)
    thread.start()
    for i in range(1, 2001):
        box.put(i)
    while len(box):
        time.sleep(0.001)
    time.sleep(0.05)
    box.close()
    thread.join(5)
    assert len(got) + box.replaced == 2000 and got == sorted(got) and got[-1] == 2000


def test_capacity_must_be_positive():
    with pytest.raises(ValueError, match="at least one"):
        Mailbox(0)
