"""The other opinion: python3-avro 1.11 on pairs of schemas and on data written with one and read with the other.

Reads one JSON object per line: {"writer": text, "reader": text, "data": [hex, ...]}; answers with one per line:
{"reads": bool, "data": [value or {"error": text}, ...]} or {"unparsed": text}. Values are plain JSON: bytes as
{"hex": ...}; an enum, a string, a branch of a union as the value itself.
"""
import io
import json
import sys
import warnings

import avro.io
import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

warnings.simplefilter("ignore")


def plain(v):
    if isinstance(v, bytes):
        return {"hex": v.hex()}
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return v


def read(writer, reader, octets):
    try:
        source = io.BytesIO(octets)
        value = avro.io.DatumReader(writer, reader).read(avro.io.BinaryDecoder(source))
        return {"value": plain(value)}
    except Exception as e:
        return {"error": f"{type(e).__name__}: {e}"[:200]}


for line in sys.stdin:
    asked = json.loads(line)
    try:
        writer, reader = avro.schema.parse(asked["writer"]), avro.schema.parse(asked["reader"])
    except Exception as e:
        print(json.dumps({"unparsed": f"{type(e).__name__}: {e}"[:200]}))
        continue
    verdict = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
    print(json.dumps({
        "reads": verdict.compatibility is SchemaCompatibilityType.compatible,
        "canonical": writer.canonical_form,
        "data": [read(writer, reader, bytes.fromhex(d)) for d in asked["data"]],
    }))
