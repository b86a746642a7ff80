"""Write the Python of every public .proto into gateway/v1; with --check, fail when what is committed is stale."""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
TARGET = PROTO.parent / "gateway" / "v1"


def main() -> int:
    """Generate, or compare; the exit code says whether gateway/v1 is what the protos say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 when gateway/v1 is stale")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        fresh = generate(Path(folder))
        stale = differing(fresh, TARGET)
        if check:
            for name in stale:
                sys.stderr.write(f"gateway/v1/{name}: stale; run: ./dev run python proto/generate.py\n")
            return 1 if stale else 0
        for old in TARGET.glob("*_pb2*"):
            old.unlink()
        for new in fresh.glob("*_pb2*"):
            shutil.copy(new, TARGET / new.name)
    return 0


def generate(out: Path) -> Path:
    """Run protoc with its Python, gRPC and type plugins; returns the folder of the generated package."""
    scripts = Path(sysconfig.get_path("scripts"))
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("gateway/v1/*.proto"))
    arguments = [
        "protoc",
        f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
        f"--proto_path={PROTO}",
        f"--proto_path={files('google.type').joinpath('../..')}",
        f"--proto_path={files('grpc_tools').joinpath('_proto')}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        sys.exit("protoc refused the sources above")
    return out / "gateway" / "v1"


def differing(fresh: Path, kept: Path) -> list[str]:
    """Name every generated file that is missing, superfluous or different."""
    names = {path.name for folder in (fresh, kept) for path in folder.glob("*_pb2*")}
    return sorted(
        name
        for name in names
        if not ((fresh / name).exists() and (kept / name).exists())
        or not filecmp.cmp(fresh / name, kept / name, shallow=False)
    )


if __name__ == "__main__":
    sys.exit(main())
