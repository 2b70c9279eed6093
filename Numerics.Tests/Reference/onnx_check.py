"""Runs ONNX's own checker, shape inference included, on files.

    /usr/bin/python3 onnx_check.py FILE...

Prints one JSON line per file: its path, and what is wrong with it; "error" is empty where nothing is.
"""
import json
import sys

import onnx


def check(path):
    try:
        onnx.checker.check_model(onnx.load(path), full_check=True)
    except Exception as error:  # the checker, shape inference and protobuf have families of their own
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for file in sys.argv[1:]:
        print(json.dumps({"file": file, "error": check(file)}))
