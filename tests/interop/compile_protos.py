"""Compiles the contract's messages to Python, without this project's extensions (fields from 100 on)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

FILES = ("common.proto", "swim.proto", "newscast.proto")
EXTENSION = re.compile(r"(?:\b(?:optional|repeated)\s+)?\b[\w.]+\s+\w+\s*=\s*\d{3,}\s*(?:\[[^\]]*\]\s*)?;")


def compile_protos(source: Path, out: Path) -> None:
    """Writes `*_pb2.py` of the protocol files in `source` to `out`."""
    stripped = out / "protocols"
    stripped.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        text = (source / name).read_text(encoding="utf-8")
        (stripped / name).write_text(EXTENSION.sub("", text), encoding="utf-8")
    described = out / "descriptors.pb"
    arguments = ["protoc", f"-I{stripped}", f"--python_out={out}", f"--descriptor_set_out={described}", *FILES]
    if protoc.main(arguments) != 0:
        sys.exit(f"interop: protoc cannot compile {stripped}: see above")
    files = descriptor_pb2.FileDescriptorSet.FromString(described.read_bytes())
    for message in (message for file in files.file for message in file.message_type):
        extensions = [field.name for field in message.field if field.number >= 100]
        if extensions:
            sys.exit(f"interop: {message.name} still has {extensions}: EXTENSION in compile_protos.py must match them")


if __name__ == "__main__":
    compile_protos(Path(sys.argv[1]), Path(sys.argv[2]))
