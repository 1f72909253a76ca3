"""The guide's tables of text teachers are those that their command prints."""

import pytest

pytest.importorskip("transformers", reason="the benchmark's teachers need it")

from benchmarks import texts


def test_page_holds_the_tables_of_the_lines():
    text = texts.PAGE.read_text()
    assert texts.page(text) == text
