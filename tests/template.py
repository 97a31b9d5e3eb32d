"""Reads `template.yaml` for the tests: its resources and functions, under names of the tests' own."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"
REGION = "us-east-1"
# moto's account.
ACCOUNT = "123456789012"
STACK = "stt-gateway-tests"
STACK_UUID = "51af3dc0-da77-11e4-872e-1234567db123"

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags: `!Ref X` is `{"Ref": "X"}`, `!Sub x` is `{"Fn::Sub": "x"}`."""


def _construct_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise yaml.constructor.ConstructorError(None, None, f"!{suffix} of a mapping", node.start_mark)
    if suffix == "GetAtt":
        return {"Fn::GetAtt": str(value).split(".", 1)}
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct_tag)


def load(path: Path = TEMPLATE) -> dict[str, Any]:
    """A template as plain data, with intrinsic functions in long form."""
    document: dict[str, Any] = yaml.load(path.read_text(), Loader=_Loader)
    return document


@dataclass(frozen=True)
class Route:
    """One method of one API Gateway resource."""

    method: str
    path: str
    function: str
    authorized: bool


@dataclass(frozen=True)
class Function:
    """A Lambda function: its code and the settings it runs with."""

    name: str
    code: Path
    handler: str
    timeout_seconds: float
    memory_mb: int
    environment: Mapping[str, str]


@dataclass
class Template:
    """A template with the values of its parameters; what they do not decide resolves to names of the tests' own.

    `endpoint` is the address of the AWS that has the resources, if it is a server; queue URLs are below it.
    """

    path: Path = TEMPLATE
    parameters: Mapping[str, str] = field(default_factory=dict)
    endpoint: str | None = None

    def __post_init__(self) -> None:
        self.document = load(self.path)

    def resources(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Logical id and resolved properties of each resource of a type."""
        for name, resource in self.document["Resources"].items():
            if resource["Type"] == kind:
                yield name, self.resolve(resource.get("Properties", {}))

    def functions(self) -> dict[str, Function]:
        """Every function by logical id, with Globals."""
        shared = self.resolve(self.document["Globals"]["Function"])
        return {
            name: self._function(name, {**shared, **own}, shared["Environment"]["Variables"], own)
            for name, own in self.resources("AWS::Serverless::Function")
        }

    def _function(
        self, name: str, properties: Mapping[str, Any], shared: Mapping[str, Any], own: Mapping[str, Any]
    ) -> Function:
        variables = {**shared, **own.get("Environment", {}).get("Variables", {})}
        return Function(
            name=self.physical_name(name),
            code=self.path.parent / properties["CodeUri"],
            handler=properties["Handler"],
            timeout_seconds=float(properties["Timeout"]),
            memory_mb=int(properties["MemorySize"]),
            environment={key: str(value) for key, value in variables.items()},
        )

    def routes(self) -> list[Route]:
        """Every route of every function."""
        return [
            Route(given["Method"], given["Path"], name, given.get("Auth", {}).get("Authorizer") != "NONE")
            for name, properties in self.resources("AWS::Serverless::Function")
            for event in properties.get("Events", {}).values()
            if event["Type"] == "Api"
            for given in [event["Properties"]]
        ]

    def api(self) -> dict[str, Any]:
        """The properties of the one REST API."""
        [(_, properties)] = self.resources("AWS::Serverless::Api")
        return properties

    def physical_name(self, name: str) -> str:
        """A resource's name in the tests, by its logical id."""
        kind = self.document["Resources"][name]["Type"]
        # Key ids are random; an alias works wherever a key id does. Bucket names have no capitals.
        prefix = "alias/" if kind == "AWS::KMS::Key" else ""
        own = f"{prefix}{STACK}-{name}"
        return own.lower() if kind == "AWS::S3::Bucket" else own

    def reference(self, name: str) -> Any:
        """`!Ref name`. Raises KeyError for a name that the template does not have."""
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": STACK,
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/{STACK_UUID}",
            "AWS::NoValue": None,
        }
        declared = self.document["Parameters"].get(name)
        if name in pseudo:
            return pseudo[name]
        if declared is not None:
            return self.parameters.get(name, declared.get("Default", ""))
        if self.document["Resources"][name]["Type"] == "AWS::SQS::Queue":
            endpoint = self.endpoint or f"https://sqs.{REGION}.amazonaws.com"
            return f"{endpoint}/{ACCOUNT}/{self.physical_name(name)}"
        return self.physical_name(name)

    def attribute(self, name: str, attribute: str) -> str:
        """`!GetAtt name.attribute`: a key's ARN as the functions need it; for anything else, the name."""
        if (self.document["Resources"][name]["Type"], attribute) == ("AWS::KMS::Key", "Arn"):
            return f"arn:aws:kms:{REGION}:{ACCOUNT}:{self.physical_name(name)}"
        return self.physical_name(name)

    def resolve(self, value: Any) -> Any:
        """The value without intrinsic functions; a property without a value is left out."""
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        [*names] = value
        if len(names) == 1 and (names[0] in ("Ref", "Condition") or names[0].startswith("Fn::")):
            return self._evaluate(names[0], value[names[0]])
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not None}

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is true."""
        return bool(self.resolve(self.document["Conditions"][condition]))

    def _evaluate(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self.reference(argument)
            case "Fn::GetAtt":
                return self.attribute(*argument)
            case "Fn::Sub":
                return _VARIABLE.sub(lambda found: self._substitute(found[1]), argument)
            case "Fn::FindInMap":
                table, row, column = self.resolve(argument)
                return self.document["Mappings"][table][row][column]
            case "Fn::If":
                return self.resolve(argument[1 if self.holds(argument[0]) else 2])
            case "Fn::Equals":
                one, other = self.resolve(argument)
                return one == other
            case "Fn::Not":
                return not self.resolve(argument[0])
            case "Fn::Select":
                return self.resolve(argument[1])[int(argument[0])]
            case "Fn::Split":
                return self.resolve(argument[1]).split(argument[0])
        raise NotImplementedError(function)

    def _substitute(self, name: str) -> str:
        resource, dot, attribute = name.partition(".")
        return str(self.attribute(resource, attribute) if dot else self.reference(name))
