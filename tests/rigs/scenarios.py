"""Which test plays which scenario of the indexer; `python -m tests.rigs.scenarios` writes it to docs/scenarios.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "scenarios.md"
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.*) \|$", re.M)
TEST = re.compile(r"`(\S+?\.py)`: (.+?)(?=<br>|$)")


def scenarios_played() -> dict[int, list[tuple[str, str]]]:
    """Scenario → (file, test) of every test that carries its number."""
    played: dict[int, list[tuple[str, str]]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        module = ast.parse(path.read_text())
        lists = {
            target.id: node.value
            for node in module.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for test in module.body:
            if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef):
                for number in sorted(set(_numbers(test, lists))):
                    played.setdefault(number, []).append((str(path.relative_to(ROOT / "tests")), test.name))
    return played


def _numbers(test: ast.FunctionDef | ast.AsyncFunctionDef, lists: dict[str, ast.expr]) -> Iterator[int]:
    """Numbers in the test's decorators, and in the lists of the module that these name."""
    nodes = [node for decorator in test.decorator_list for node in ast.walk(decorator)]
    nodes += [inner for node in nodes if isinstance(node, ast.Name) for inner in ast.walk(lists.get(node.id, node))]
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "scenario":
            yield from (ast.literal_eval(number) for number in node.args)


def sentences(page: str) -> dict[int, str]:
    """Scenario → what happens in it, as the page says."""
    return {int(number): sentence for number, sentence, _ in ROW.findall(page)}


def named_tests(page: str) -> dict[int, list[tuple[str, str]]]:
    """Scenario → (file, test) as the page names them."""
    return {
        int(number): [(path, f"test_{words.replace(' ', '_')}") for path, words in TEST.findall(cell)]
        for number, _, cell in ROW.findall(page)
    }


def with_tests(page: str, played: dict[int, list[tuple[str, str]]]) -> str:
    """The page with the tests of today in its last column."""

    def row(found: re.Match[str]) -> str:
        number = int(found[1])
        tests = (f"`{path}`: {name.removeprefix('test_').replace('_', ' ')}" for path, name in played.get(number, []))
        return f"| {number} | {found[2]} | {'<br>'.join(tests)} |"

    return ROW.sub(row, page)


if __name__ == "__main__":
    PAGE.write_text(with_tests(PAGE.read_text(), scenarios_played()))
