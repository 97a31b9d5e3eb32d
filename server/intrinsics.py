"""CloudFormation YAML and the intrinsic functions that this project's template uses."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")
# What `!Ref AWS::NoValue` resolves to: omit the property.
NO_VALUE = object()


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags: `!Ref X` is `{"Ref": "X"}`, `!Sub x` is `{"Fn::Sub": "x"}`."""


def _construct_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


_Loader.add_multi_constructor("!", _construct_tag)


def load(path: Path) -> dict[str, Any]:
    """The template as plain data, with intrinsic functions in long form."""
    document: dict[str, Any] = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader
    return document


class Resolver:
    """Replaces intrinsic functions with values; `reference` and `attribute` give a resource's values."""

    def __init__(
        self,
        conditions: Mapping[str, Any],
        reference: Callable[[str], Any],
        attribute: Callable[[str, str], Any],
        mappings: Mapping[str, Any],
    ) -> None:
        self._conditions = conditions
        self._reference = reference
        self._attribute = attribute
        self._mappings = mappings

    def resolve(self, value: Any) -> Any:
        """The value without intrinsic functions. Raises KeyError for a name not in the template."""
        if isinstance(value, list):
            items = (self.resolve(item) for item in value)
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            function = self._functions().get(name)
            if function is not None:
                return function(argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is true."""
        return bool(self.resolve(self._conditions[condition]))

    def _functions(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "Ref": self._reference,
            "Condition": self.holds,
            "Fn::GetAtt": lambda argument: self._attribute(argument[0], ".".join(argument[1:])),
            "Fn::Sub": self._substitute,
            "Fn::FindInMap": self._find,
            "Fn::If": lambda argument: self.resolve(argument[1 if self.holds(argument[0]) else 2]),
            "Fn::Equals": lambda argument: str(self.resolve(argument[0])) == str(self.resolve(argument[1])),
            "Fn::Not": lambda argument: not self.resolve(argument[0]),
            "Fn::And": lambda argument: all(self.resolve(item) for item in argument),
            "Fn::Or": lambda argument: any(self.resolve(item) for item in argument),
            "Fn::Join": lambda argument: argument[0].join(str(item) for item in self.resolve(argument[1])),
            "Fn::Select": lambda argument: self.resolve(argument[1])[int(argument[0])],
            "Fn::Split": lambda argument: self.resolve(argument[1]).split(argument[0]),
        }

    def _find(self, argument: list[Any]) -> Any:
        table, row, column = self.resolve(argument)
        return self._mappings[table][row][column]

    def _substitute(self, argument: Any) -> str:
        text, own = argument if isinstance(argument, list) else (argument, {})

        def replace(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return "${" + name + "}"
            if name in own:
                return str(self.resolve(own[name]))
            resource, dot, attribute = name.partition(".")
            return str(self._attribute(resource, attribute) if dot else self._reference(name))

        return _VARIABLE.sub(replace, text)
