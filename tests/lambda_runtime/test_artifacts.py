"""What `sam build` made agrees with the template, stands alone, and holds nothing that is not deployed."""

import json
import marshal
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from functions.build_openapi import as_json
from local.deployment import ROOT
from tests import artifacts
from tests.missing import PYTHON
from tests.template import Template

# EM_X86_64 and EM_AARCH64 of the ELF specification, at offset 18 of a file.
ELF_MACHINES = {62: "x86_64", 183: "arm64"}
# Lambda's limit is 250 MB unzipped; a cold start reads what is in the layer, so the bound here is near what it has.
MAX_LAYER_MEGABYTES = 40
MAX_ZIPPED_MEGABYTES = 12
# A .pyc that is believed without a look at its source: PEP 552, bit 0 set, bit 1 (check_source) not.
UNCHECKED_HASH = b"\x01\x00\x00\x00"


def locked() -> set[str]:
    """The distributions in the lock file, normalised as in file names."""
    lines = (ROOT / "layers/shared/requirements.txt").read_text().splitlines()
    names = {match[1] for line in lines if (match := re.match(r"([A-Za-z0-9._-]+)==", line))}
    return {re.sub(r"[-_.]+", "_", name).lower() for name in names}


def distributions(layer: Path) -> set[str]:
    return {path.name.partition("-")[0].lower() for path in (layer / "python").glob("*.dist-info")}


def bare_python(code: str, *path: Path, **environment: str) -> str:
    """What a program prints in an interpreter that has these folders on its path and no site-packages."""
    ran = subprocess.run(
        [str(PYTHON), "-S", "-c", code],
        env={**environment, "PYTHONPATH": ":".join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_built_template_has_every_block_written_out_because_cloudformation_knows_no_aliases(
    built: Path,
) -> None:
    deployed, source = built / "template.yaml", ROOT / "template.yaml"
    has_aliases = [
        any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(path.read_text(), yaml.SafeLoader))
        for path in (source, deployed)
    ]
    assert has_aliases == [True, False]
    assert Template(path=deployed).api() == Template(path=source).api()


def test_every_handler_of_the_template_imports_from_artifacts_alone(built: Path) -> None:
    functions = Template(path=built / "template.yaml").functions()
    assert len(functions) == len(list((ROOT / "functions").glob("*/app.py")))
    for function in functions.values():
        module, _, name = function.handler.rpartition(".")
        code = f"import {module}; assert callable({module}.{name})"
        bare_python(code, function.code, built / "SharedLayer" / "python")


def test_everything_that_is_imported_has_bytecode_that_is_believed(built: Path) -> None:
    code = (
        "import app, json, sys; print(json.dumps([[module.__file__, module.__cached__] for module in"
        " list(sys.modules.values()) if getattr(module, '__cached__', None)]))"
    )
    for function in Template(path=built / "template.yaml").functions().values():
        modules = json.loads(bare_python(code, function.code, built / "SharedLayer" / "python"))
        ours = [(file, cached) for file, cached in modules if file.startswith(str(built))]
        assert len(ours) > 5  # the authorizer imports the fewest, eight
        for file, cached in ours:
            assert Path(cached).read_bytes()[4:8] == UNCHECKED_HASH, file


def test_bytecode_holds_the_paths_of_lambda_and_not_of_the_machine_that_built_it(built: Path) -> None:
    handler = built / "ModelsFunction" / "__pycache__" / "app.cpython-313.pyc"
    package = built / "SharedLayer" / "python" / "gateway" / "__pycache__" / "__init__.cpython-313.pyc"
    paths = [marshal.loads(path.read_bytes()[16:]).co_filename for path in (handler, package)]
    assert paths == ["/var/task/app.py", "/opt/python/gateway/__init__.py"]


def test_the_site_ships_its_pages_and_the_api_as_json_and_nothing_of_their_build(built: Path) -> None:
    site = built / "SiteFunction"
    assert {path.name for path in site.iterdir()} == {"__pycache__", "app.py", "openapi.json", "playground"}
    assert {path.name for path in (site / "__pycache__").iterdir()} == {"app.cpython-313.pyc"}
    assert (site / "openapi.json").read_text("utf-8") == as_json()


def test_two_builds_of_a_function_give_the_same_bytes(shared_folder: Path) -> None:
    first, second = (artifacts.build(name, shared_folder) / "SiteFunction" for name in ("arm64", "x86_64"))
    contents = [
        {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
        for site in (first, second)
    ]
    assert contents[0] == contents[1]


def test_two_builds_differ_only_in_what_is_compiled_for_a_machine(shared_folder: Path) -> None:
    first, second = (artifacts.build(name, shared_folder) / "SharedLayer" for name in ("arm64", "x86_64"))
    files = [
        {path.relative_to(layer) for path in layer.rglob("*") if path.is_file()} for layer in (first, second)
    ]
    assert {path.suffix for path in files[0] ^ files[1]} == {".so"}
    different = {path.suffix for path in files[0] & files[1] if _differ(first / path, second / path)}
    assert different <= {".json"}  # pybase64 and pydantic-core list what their wheel was made from


def _differ(one: Path, other: Path) -> bool:
    return one.read_bytes() != other.read_bytes()


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_the_layer_holds_what_the_lock_file_names_and_nothing_else(
    architecture: str, shared_folder: Path
) -> None:
    layer = artifacts.build(architecture, shared_folder) / "SharedLayer"
    assert distributions(layer) == locked()
    folders = {path.name for path in (layer / "python").iterdir()}
    assert not folders & {"moto", "pytest", "local", "server", "admin", "bench", "tests", "pip", "setuptools"}


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_compiled_code_in_the_layer_is_for_its_architecture(architecture: str, shared_folder: Path) -> None:
    layer = artifacts.build(architecture, shared_folder) / "SharedLayer"
    compiled = [path for path in layer.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]
    assert compiled
    for path in compiled:
        assert ELF_MACHINES[int.from_bytes(path.read_bytes()[18:20], "little")] == architecture, path


def test_only_the_used_services_of_botocore_are_shipped(built: Path) -> None:
    import build_layer

    data = built / "SharedLayer" / "python" / "botocore" / "data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == build_layer.AWS_SERVICES


def test_the_layer_is_small(built: Path, tmp_path: Path) -> None:
    layer = built / "SharedLayer"
    files = [path for path in layer.rglob("*") if path.is_file()]
    with zipfile.ZipFile(tmp_path / "layer.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(layer))
    unzipped = sum(path.stat().st_size for path in files) / 1e6
    zipped = (tmp_path / "layer.zip").stat().st_size / 1e6
    assert unzipped < MAX_LAYER_MEGABYTES
    assert zipped < MAX_ZIPPED_MEGABYTES, zipped
