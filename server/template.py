"""Reads `template.yaml`: resources, functions, routes, authorizer and error shapes, under local names.

The local server, the embedded AWS and the tests all read the template here, so none of them keeps a second copy of
a schema, a route or an error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.intrinsics import NO_VALUE, Resolver, load

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"
# moto's account; it never leaves this machine.
ACCOUNT = "123456789012"
REGION = "us-east-1"
STACK = "stt-gateway-local"

# The property that names a resource, by type.
_NAME_PROPERTIES = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Serverless::Function": "FunctionName",
    "AWS::KMS::Alias": "AliasName",
}


@dataclass(frozen=True)
class Route:
    """One method of one API Gateway resource."""

    method: str
    path: str
    function: str
    authorized: bool


@dataclass(frozen=True)
class EventSource:
    """A stream or queue that feeds a function in batches. `resource` is its table's or queue's logical id."""

    kind: str
    resource: str
    batch_size: int


@dataclass(frozen=True)
class Function:
    """A Lambda function: its code and the settings it runs with."""

    name: str
    code: Path
    handler: str
    timeout_seconds: float
    memory_mb: int
    environment: Mapping[str, str]
    routes: tuple[Route, ...] = ()
    event_sources: tuple[EventSource, ...] = ()

    @property
    def arn(self) -> str:
        """The ARN that the function's context shows."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"


@dataclass(frozen=True)
class Authorizer:
    """A Lambda TOKEN authorizer: the function to ask and the header that carries the token."""

    function: str
    header: str
    pattern: str | None


@dataclass(frozen=True)
class Api:
    """The REST API around the routes."""

    stage: str
    binary_media_types: tuple[str, ...]
    cors: Mapping[str, Any]
    gateway_responses: Mapping[str, Mapping[str, Any]]
    authorizer: Authorizer | None


@dataclass
class Template:
    """A template whose references resolve to local names.

    `endpoint` is the embedded AWS's address, if there is one; queue URLs are under it.
    """

    path: Path = TEMPLATE
    parameters: Mapping[str, str] = field(default_factory=dict)
    endpoint: str | None = None

    def __post_init__(self) -> None:
        self._document = load(self.path)
        self._resolver = Resolver(
            self._document.get("Conditions", {}),
            self.reference,
            self.attribute,
            self._document.get("Mappings", {}),
        )

    # --- resources

    def resources(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Logical id and resolved properties of each resource of a type, without those whose condition is false."""
        for name, resource in self._document["Resources"].items():
            condition = resource.get("Condition")
            if resource["Type"] == kind and (condition is None or self._resolver.holds(condition)):
                yield name, self._resolver.resolve(resource.get("Properties", {}))

    def physical_name(self, logical_id: str) -> str:
        """A resource's local name: the template's, else one made from its logical id."""
        resource = self._document["Resources"][logical_id]
        given = resource.get("Properties", {}).get(_NAME_PROPERTIES.get(resource["Type"], ""))
        if given is not None:
            return str(self._resolver.resolve(given))
        if resource["Type"] == "AWS::KMS::Key":
            # Key ids are random; an alias works wherever a key id does.
            return f"alias/{STACK}-{logical_id}"
        if resource["Type"] == "AWS::S3::Bucket":
            return f"{STACK}-{logical_id}".lower()
        return f"{STACK}-{logical_id}"

    def reference(self, name: str) -> Any:
        """`!Ref name`."""
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": STACK,
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/local",
            "AWS::NoValue": NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self._document.get("Parameters", {}):
            default = self._document["Parameters"][name].get("Default", "")
            return self.parameters.get(name, default)
        # SAM names generated resources `Api.Stage`.
        if "." in name or self._document["Resources"][name]["Type"] != "AWS::SQS::Queue":
            return self.physical_name(name.partition(".")[0])
        return (
            f"{self.endpoint or f'https://sqs.{REGION}.amazonaws.com'}/{ACCOUNT}/{self.physical_name(name)}"
        )

    def attribute(self, name: str, attribute: str) -> str:
        """`!GetAtt name.attribute`: an ARN as AWS forms it; for anything else, the physical name."""
        physical = self.physical_name(name)
        if attribute not in ("Arn", "StreamArn"):
            return physical
        kind = self._document["Resources"][name]["Type"]
        place = f"{REGION}:{ACCOUNT}"
        stream = "/stream/local" if attribute == "StreamArn" else ""
        return {
            "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{place}:table/{physical}{stream}",
            "AWS::S3::Bucket": f"arn:aws:s3:::{physical}",
            "AWS::SQS::Queue": f"arn:aws:sqs:{place}:{physical}",
            "AWS::KMS::Key": f"arn:aws:kms:{place}:{physical}",
            "AWS::Serverless::Function": f"arn:aws:lambda:{place}:function:{physical}",
        }.get(kind, f"arn:aws:local:{place}:{physical}")

    # --- functions

    def functions(self) -> dict[str, Function]:
        """Every function by logical id, with Globals."""
        shared = self._resolver.resolve(self._document.get("Globals", {}).get("Function", {}))
        default = self._api_properties().get("Auth", {}).get("DefaultAuthorizer")
        return {
            name: self._function(name, {**shared, **properties}, shared, default)
            for name, properties in self.resources("AWS::Serverless::Function")
        }

    def _function(
        self, name: str, properties: dict[str, Any], shared: dict[str, Any], default_authorizer: str | None
    ) -> Function:
        own = self._document["Resources"][name]["Properties"].get("Environment", {})
        variables = {
            **shared.get("Environment", {}).get("Variables", {}),
            **self._resolver.resolve(own).get("Variables", {}),
        }
        events = properties.get("Events", {}).values()
        raw_events = self._document["Resources"][name]["Properties"].get("Events", {}).values()
        return Function(
            name=self.physical_name(name),
            code=self.path.parent / properties["CodeUri"],
            handler=properties["Handler"],
            timeout_seconds=float(properties.get("Timeout", 3)),
            memory_mb=int(properties.get("MemorySize", 128)),
            environment={key: str(value) for key, value in variables.items()},
            routes=tuple(
                _route(name, event["Properties"], default_authorizer)
                for event in events
                if event["Type"] == "Api"
            ),
            event_sources=tuple(
                _event_source(event) for event in raw_events if event["Type"] in ("DynamoDB", "SQS")
            ),
        )

    # --- the API

    def routes(self) -> list[Route]:
        """Every route of every function."""
        return [route for function in self.functions().values() for route in function.routes]

    def api(self) -> Api:
        """The one REST API of the template."""
        properties = self._api_properties()
        cors = properties.get("Cors", {})
        return Api(
            stage=str(properties.get("StageName", "local")),
            binary_media_types=tuple(
                kind.replace("~1", "/") for kind in properties.get("BinaryMediaTypes", [])
            ),
            cors={"AllowOrigin": cors} if isinstance(cors, str) else cors,
            gateway_responses=properties.get("GatewayResponses", {}),
            authorizer=self._authorizer(properties.get("Auth", {})),
        )

    def _api_properties(self) -> dict[str, Any]:
        shared = self._resolver.resolve(self._document.get("Globals", {}).get("Api", {}))
        for _, properties in self.resources("AWS::Serverless::Api"):
            return {**shared, **properties}
        return {}

    def _authorizer(self, auth: dict[str, Any]) -> Authorizer | None:
        default = auth.get("DefaultAuthorizer")
        if default is None:
            return None
        properties = auth["Authorizers"][default]
        identity = properties.get("Identity", {})
        names = {self.attribute(name, "Arn"): name for name, _ in self.resources("AWS::Serverless::Function")}
        return Authorizer(
            function=names[properties["FunctionArn"]],
            header=identity.get("Header", "Authorization"),
            pattern=identity.get("ValidationExpression"),
        )


def _route(function: str, event: dict[str, Any], default_authorizer: str | None) -> Route:
    authorizer = event.get("Auth", {}).get("Authorizer", default_authorizer)
    return Route(
        method=event["Method"].upper(),
        path=event["Path"],
        function=function,
        authorized=authorizer not in (None, "NONE"),
    )


def _event_source(event: dict[str, Any]) -> EventSource:
    """Reads the unresolved event: its `!GetAtt Table.StreamArn` or `!GetAtt Queue.Arn` holds the logical id."""
    properties = event["Properties"]
    kind: str = event["Type"]
    source = properties["Stream" if kind == "DynamoDB" else "Queue"]
    return EventSource(
        kind=kind,
        resource=source["Fn::GetAtt"][0],
        batch_size=int(properties.get("BatchSize", 100 if kind == "DynamoDB" else 10)),
    )
