"""Prints the fields and enum values of the ONNX schema as the installed onnx package has them.

    /usr/bin/python3 onnx_schema.py

One JSON line each: "name" (such as onnx.ModelProto.doc_string or onnx.TensorProto.FLOAT), its "number", and for a field its "type" and
whether it is "repeated" (protobuf's own numbers of types).
"""
import json

import onnx


def lines(message):
    for field in message.fields:
        yield {"name": field.full_name, "number": field.number, "type": field.type, "repeated": field.label == field.LABEL_REPEATED}
    for enum in message.enum_types:
        yield from values(enum)
    for nested in message.nested_types:
        yield from lines(nested)


def values(enum):
    # In protobuf, a value's full name is in the scope that its enum is in.
    scope = enum.full_name.rpartition(".")[0]
    return [{"name": f"{scope}.{value.name}", "number": value.number} for value in enum.values]


if __name__ == "__main__":
    schema = onnx.ModelProto.DESCRIPTOR.file
    for top in schema.message_types_by_name.values():
        for line in lines(top):
            print(json.dumps(line))
    for top in schema.enum_types_by_name.values():
        for line in values(top):
            print(json.dumps(line))
