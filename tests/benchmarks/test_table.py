"""The results as text, for a terminal and for the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.table import BEGIN, END, MarkersMissing, markdown, table, with_results

from .results import ABOUT, failed, result

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
RESULTS = [
    result([50e-6, 60e-6, 70e-6], [100e-6] * 3, 0.65, engine="httptools"),
    result([0.0123] * 3, [0.01] * 3, 1.1, name="a download", group="Transfers", unit="ms"),
    result([2048.0] * 3, [8192.0] * 3, None, name="memory", group="Start", unit="KiB"),
    failed("No module named 'pycurl'"),
]


def test_the_table_shows_figures_targets_and_problems() -> None:
    lines = table(RESULTS, ABOUT).splitlines()
    assert lines[0] == (
        "CPython 3.13.0, Linux x86_64, 2 CPUs, servers and clients on CPUs of their own, "
        "HTTP/1.1 engine: h11"
    )
    assert lines[1] == "h11 0.16.0"
    assert [" ".join(line.split()) for line in lines[3:7]] == [
        "ours / peer ours peer ratio interval wall busy target measured",
        "us / them 60 100 us 0.600 0.50 to 0.70 0.30 50%/25% 0.65 holds (close) * "
        "CPython 3.13.0, h11",
        "a download 12.3 10 ms 1.230 1.23 to 1.23 0.61 50%/25% 1.10 missed CPython 3.13.0, h11",
        "memory 2 8 KiB 0.250 0.25 to 0.25 CPython 3.13.0, h11",
    ]
    assert "1 of 2 targets hold." in lines
    assert "missed: a download" in lines
    assert "close, more rounds could change the verdict: us / them" in lines
    assert lines[-1] == "not there: not measured: No module named 'pycurl'"


def test_the_table_explains_only_what_is_in_it() -> None:
    text = table([result([0.5], [1.0])], ABOUT | {"own_cpus": False})
    for absent in ("close", "missed", "*", "CPUs of their own"):
        assert absent not in text


def test_the_documentation_has_a_heading_for_each_group() -> None:
    lines = markdown(RESULTS, ABOUT).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert rows[2:] == [
        "| **Requests** | | | | | | |",
        r"| us / them | 60 us | 100 us | **0.600** | 0.50 to 0.70 | 0.65 | holds (close) \* |",
        "| **Transfers** | | | | | | |",
        "| a download | 12.3 ms | 10 ms | **1.230** | 1.23 to 1.23 | 1.10 | missed |",
        "| **Start** | | | | | | |",
        "| memory | 2 KiB | 8 KiB | **0.250** | 0.25 to 0.25 |  |  |",
    ]
    assert lines[-1] == "- not there: not measured: No module named 'pycurl'"


def test_results_replace_what_is_between_the_markers() -> None:
    once = with_results(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new\n")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert with_results(once, "new\n") == once


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_document_without_markers_is_refused(document: str) -> None:
    with pytest.raises(MarkersMissing):
        with_results(document, "new")


def test_the_documentation_has_the_markers() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert with_results(document, "new") != document
