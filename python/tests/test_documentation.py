"""Every public thing is documented, and the examples in docstrings are right."""

from __future__ import annotations

import doctest
import inspect
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import orthogap as og


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in module.__all__:
        thing = getattr(module, name)
        if not (inspect.isclass(thing) or callable(thing)):
            continue
        yield f"{module.__name__}.{name}", thing
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (callable(value) or hasattr(value, "__get__")):
                    yield f"{module.__name__}.{name}.{member}", value


THINGS = dict(itertools.chain(public(og), public(og.theory)))


@pytest.mark.parametrize("name", THINGS)
def test_documented(name: str) -> None:
    assert inspect.getdoc(THINGS[name])


@pytest.mark.parametrize("name", [n for n, t in THINGS.items() if ">>>" in (inspect.getdoc(t) or "")])
def test_examples(name: str) -> None:
    check(inspect.getdoc(THINGS[name]) or "", name)


def test_the_example_of_the_module() -> None:
    check(og.__doc__ or "", "orthogap")


def check(text: str, name: str) -> None:
    globals_ = {**vars(og), **vars(og.theory), "np": np, "itertools": itertools, "orthogap": og}
    test = doctest.DocTestParser().get_doctest(text, globals_, name, None, None)
    assert test.examples
    result = doctest.DocTestRunner().run(test)
    assert result.failed == 0


def test_the_example_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    readme = Path(__file__).parents[1] / "README.md"
    example = readme.read_text().split("```python\n")[1].split("```")[0]
    exec(example, {})
    assert capsys.readouterr().out.startswith("0.")


def test_version() -> None:
    assert og.__version__.count(".") == 2
