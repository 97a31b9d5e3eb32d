"""Builds the layer; `sam build` runs this instead of its pip workflow (Metadata in template.yaml).

Unlike SAM, this checks wheels for the other architecture against the lock's hashes too (SAM fetches them by name
and version alone), leaves out what no function uses, and ships bytecode, which Lambda could not keep because
/opt is read-only. The same inputs give the same bytes.
"""

import compileall
import json
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

# Lambda's python3.13 runs on Amazon Linux 2023, which has glibc 2.34.
_GLIBC = ("2_34", "2_28", "2_17")
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
# What gateway.store uses; botocore describes 400 more services, 25 MB.
AWS_SERVICES = frozenset({"dynamodb", "kms", "s3", "sqs"})


def build(architecture: str, source: Path, artifacts: Path) -> None:
    """Builds the layer for `architecture` (arm64, x86_64) from the folder of gateway/ and requirements.txt."""
    target = artifacts / "python"
    install(_MACHINES[architecture], source / "requirements.txt", target)
    shutil.copytree(source / "gateway", target / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    trim(target)
    compile_bytecode(target, artifacts)
    sizes = [file.stat().st_size for file in target.rglob("*") if file.is_file()]
    sys.stdout.write(f"layer: {sum(sizes) / 1e6:.1f} MB in {len(sizes)} files\n")


def install(machine: str, requirements: Path, target: Path) -> None:
    """Installs the locked wheels for one machine; checks each hash."""
    platforms = [f"--platform=manylinux_{glibc}_{machine}" for glibc in _GLIBC]
    subprocess.run(  # noqa: S603 - pip, with arguments from this file
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--root-user-action=ignore", "--no-compile", "--no-deps", "--require-hashes"),
            *("--only-binary=:all:", "--implementation=cp", "--python-version=3.13", *platforms),
            *("--requirement", str(requirements), "--target", str(target)),
        ],
        check=True,
    )


def trim(target: Path) -> None:
    """Removes what is not used at run time; licences and METADATA stay."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for name in ("RECORD", "WHEEL", "INSTALLER", "REQUESTED", "entry_points.txt", "top_level.txt"):
        for file in target.glob(f"*.dist-info/{name}"):
            file.unlink()
    data = target / "botocore" / "data"
    for service in data.iterdir():
        if service.is_dir() and service.name not in AWS_SERVICES:
            shutil.rmtree(service)
    for examples in data.rglob("examples-1.json*"):
        examples.unlink()
    endpoints = data / "endpoints.json"
    endpoints.write_text(json.dumps(only_used(json.loads(endpoints.read_text())), separators=(",", ":")))


def only_used(endpoints: dict[str, Any]) -> dict[str, Any]:
    """botocore's endpoints without unused services: each new client reads this file, 1.2 MB in full."""
    partitions = [
        partition | {"services": {k: v for k, v in partition["services"].items() if k in AWS_SERVICES}}
        for partition in endpoints["partitions"]
    ]
    return endpoints | {"partitions": partitions}


def compile_bytecode(target: Path, artifacts: Path) -> None:
    """Compiles bytecode that Python uses without checking the source, with the paths it has on Lambda."""
    compileall.compile_dir(
        target,
        quiet=1,
        workers=0,
        stripdir=str(artifacts),
        prependdir="/opt",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


if __name__ == "__main__":
    build(sys.argv[1], Path.cwd(), Path(sys.argv[2]))
