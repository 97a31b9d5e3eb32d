"""Reads YAML as JSON's types, with the line of every value, safe against hostile documents."""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.manifest.bounds import MAX_LEVELS, MAX_VALUES
from gateway.manifest.problems import join, kind

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
# One step of a path: `.key`, `[7]` or `["a b"]`; possessive, so matching takes linear time.
_STEP = re.compile(r'\.?[A-Za-z0-9_-]++|\[[0-9]*+\]|\["(?:[^"\\]|\\.)*+"\]')
# Longer than any path in a document of the accepted depth, with keys cut at 40 characters.
_MAX_PATH = 16_384
# Python prints at most 4,300 digits of an integer, which is 14,284 bits.
_MAX_BITS = 14_000


class NotYaml(Exception):
    """The text is not YAML, or not YAML that we accept; `line` is where."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass
class Document:
    """A parsed document: JSON's types only, the line of each path, and notation problems by path."""

    value: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    problems: dict[str, tuple[int, str]] = field(default_factory=dict)

    def line_of(self, path: str) -> int:
        """The line of a path, or of the nearest enclosing value in the text."""
        if path in self.lines:
            return self.lines[path]
        ends, end = [0], 0
        # Paths also come from a gateway's problems, and the gateway may be anybody's.
        while len(path) <= _MAX_PATH and (step := _STEP.match(path, end)):
            end = step.end()
            ends.append(end)
        within = (path[:end] for end in reversed(ends))
        return next((self.lines[each] for each in within if each in self.lines), 1)


class _Loader(yaml.SafeLoader):
    """Reads scalars as YAML 1.2 (and the agent's Go library) does: `no` and dates are text, 1:30 is not 90."""


_Loader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", "<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"(?:{_pattern})\Z"), _first)


def read_yaml(text: str) -> Document:
    """The one document in `text`. Raises NotYaml.

    Follows at most as many aliases as a document of the accepted size can have values, so neither a "billion
    laughs" nor an alias to itself takes much time or memory.
    """
    document = Document()
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            document.value = _Reader(loader, document).value(node, "", _line(node), 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = ", ".join(filter(None, (error.context, error.problem))) or "the file is not YAML"
        raise NotYaml(mark.line + 1 if mark else 1, told) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYaml(line, "control characters are not allowed in YAML") from None
    except RecursionError:
        raise NotYaml(1, f"must be nested at most {MAX_LEVELS} levels deep") from None
    return document


class _Reader:
    """Builds values from nodes; builds and counts a node again each time an alias repeats it."""

    def __init__(self, loader: _Loader, document: Document) -> None:
        self.loader = loader
        self.document = document
        self.values = 0

    def value(self, node: yaml.Node, path: str, line: int, level: int) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            raise NotYaml(line, f"must have at most {MAX_VALUES} values; each use of an alias counts")
        if level > MAX_LEVELS:
            raise NotYaml(line, f"must be nested at most {MAX_LEVELS} levels deep")
        self.document.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path, level)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [
                self.value(child, f"{path}[{number}]", _line(child, line), level + 1)
                for number, child in enumerate(node.value)
            ]
        return self._scalar(node, path, line)

    def _mapping(self, node: yaml.MappingNode, path: str, level: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if key_node.tag == _MERGE:
                for key, value in self._merged(value_node, path, line, level).items():
                    merged.setdefault(key, value)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._report(path, line, "keys must be text")
                continue
            where = join(path, key_node.value)
            if key_node.value in found:
                self._report(
                    where, line, f"must be given only once; it is also on line {self.document.lines[where]}"
                )
                continue
            self.document.lines.pop(where, None)
            found[key_node.value] = self.value(value_node, where, line, level + 1)
        return merged | found

    def _merged(self, node: yaml.Node, path: str, line: int, level: int) -> dict[str, Any]:
        """What `<<` merges; earlier mappings win over later ones, and keys beside `<<` win over both."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in sources:
            value = self.value(source, path, line, level + 1)
            if isinstance(value, dict):
                for key, child in value.items():
                    merged.setdefault(key, child)
            else:
                self._report(path, line, f"<< must merge an object, not {kind(value)}")
        return merged

    def _scalar(self, node: yaml.Node, path: str, line: int) -> Any:
        kinds = {f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str")}
        if node.tag not in kinds or not isinstance(node, yaml.ScalarNode):
            self._report(
                path, line, "tags are not accepted: write text, numbers, lists and objects as they are"
            )
            return None
        try:
            value = self.loader.construct_object(node)
        except (ValueError, LookupError, OverflowError):
            # `!!int x`, or more digits than Python converts: the field's reader says what it must be.
            return str(node.value)
        return str(node.value) if isinstance(value, int) and value.bit_length() > _MAX_BITS else value

    def _report(self, path: str, line: int, message: str) -> None:
        self.document.problems.setdefault(path, (line, message))


def _line(node: yaml.Node, otherwise: int = 1) -> int:
    return node.start_mark.line + 1 if node.start_mark else otherwise
