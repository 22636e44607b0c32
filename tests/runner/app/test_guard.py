"""Who may ask the app, and that a page of it may ask nobody else."""

from __future__ import annotations

import pytest

from runner.app.guard import POLICY, host_of

HERE = "127.0.0.1:8501"


@pytest.mark.parametrize(
    ("hosts", "origins", "served"),
    [
        ([HERE], [], True),
        ([HERE], [f"http://{HERE}"], True),
        (["LOCALHOST:8501"], ["http://localhost:8501"], True),
        (["localhost"], [], True),
        ([], [], False),
        ([""], [], False),
        ([HERE, "elsewhere.example"], [], False),
        ([HERE, HERE], [], False),
        (["elsewhere.example:8501"], [], False),
        (["elsewhere.example:8501"], ["http://elsewhere.example:8501"], False),
        (["127.0.0.1.elsewhere.example"], [], False),
        (["elsewhere.example/@127.0.0.1"], [], False),
        (["localhost.:8501"], [], False),
        (["0.0.0.0:8501"], [], False),
        (["[::1]:8501"], [], False),
        (["127.0.0.1:8501:1"], [], False),
        (["127.0.0.1:8501\n"], [], False),
        ([HERE], ["https://elsewhere.example"], False),
        ([HERE], ["null"], False),
        ([HERE], [f"https://{HERE}"], False),
        ([HERE], ["http://127.0.0.1:8888"], False),  # another server of this machine
        ([HERE], ["http://localhost:8501"], False),
        ([HERE], [f"http://{HERE}.elsewhere.example"], False),
        ([HERE], [f"http://{HERE}", "https://elsewhere.example"], False),
    ],
)
def test_who_is_served(hosts: list[str], origins: list[str], served: bool) -> None:
    headers = [(b"host", host.encode()) for host in hosts]
    headers += [(b"origin", origin.encode()) for origin in origins]
    assert (host_of(headers) is not None) == served


def test_no_place_elsewhere_is_named_in_the_policy() -> None:
    told = dict(line.split(" ", 1) for line in POLICY)
    own = {"'self'", "'none'", "data:", "blob:", "'unsafe-eval'", "'unsafe-inline'", "{socket}"}
    assert {word for words in told.values() for word in words.split()} <= own
    assert "'unsafe-inline'" not in told["script-src"]
