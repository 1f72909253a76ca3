"""Load thousands of damaged and hostile files; a test runs this in a process apart.

``python load_onnx_worker.py SEEDS N_CASES SEED CASE``: SEEDS is a folder of good files.
Each case is one of them, changed and written to CASE; it must load and answer, or raise
a ValueError. Prints how many files of each kind of change came how far. Where one makes
the process stop, it is left in CASE.
"""

import faulthandler
import json
import random
import resource
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from deploy_files import DIGEST, entry, sealed

from skdistill.deploy import load_onnx

#: Seconds of computing and bytes that all cases together may take.
MAX_SECONDS, MAX_MEMORY = 120, 6 << 30

#: What a Python program asks for when it does more than arithmetic.
FORBIDDEN = (
    "compile",
    "exec",
    "import",
    "os.",
    "pickle.",
    "shutil.",
    "socket.",
    "subprocess.",
    "ctypes.",
)
INTEGERS = (0, 1, 2, 3, 7, 127, 255, 2**15, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)
HOSTILE = (
    None,
    True,
    0,
    -1,
    10**30,
    1e308,
    "",
    "O",
    "V",
    "U99999999",
    "__import__('os').system('true')",
    "../../etc/passwd",
    "\x00",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    [-1],
    [10**9],
    [True, False],
    {"": {}},
    "x" * 10_000,
    list(range(3_000)),
)


# -- changes of bytes ------------------------------------------------------------------


def cut(rng, data):
    return data[: rng.randrange(len(data))]


def flip(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def overwrite(rng, data):
    start = rng.randrange(len(data))
    junk = rng.choice((rng.randbytes(rng.randrange(1, 9)), b"\xff" * 9, b"\x00" * 9))
    return data[:start] + junk + data[start + len(junk) * rng.randrange(2) :]


def splice(rng, data):
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:b] + data[a:] if rng.random() < 0.5 else data[:a] + data[b:]


def resealed(change):
    def changed(rng, data):
        return sealed(change(rng, body_of(data)))

    changed.__name__ = f"{change.__name__}, right digest"
    return changed


def noise(rng, data):
    return rng.randbytes(rng.choice((0, 1, 10, 100, 1000)))


def sealed_noise(rng, data):
    return sealed(noise(rng, data))


def body_of(data):
    return data[: data.rindex(DIGEST)]


# -- changes of what the file says -----------------------------------------------------


def say(rng, data):
    """Change a value somewhere in the metadata."""
    model = onnx.load_from_string(data)
    (text,) = (p.value for p in model.metadata_props if p.key == "skdistill")
    said = json.loads(text)
    holders = list(_holders(said))
    holder = rng.choice(holders)
    key = rng.choice(list(holder)) if isinstance(holder, dict) else None
    if key is None:
        key = rng.randrange(len(holder))
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = rng.choice(HOSTILE)
    del model.metadata_props[:]
    body = model.SerializeToString()
    return sealed(body + entry(b"skdistill", json.dumps(said).encode()))


def _holders(value):
    if isinstance(value, dict | list) and value:
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _holders(inner)


def say_nonsense(rng, data):
    text = rng.choice(
        (b"", b"[" * 100_000, b'{"format": 1', b"\xff", b"NaN", b"9" * 9_999, b"{}")
    )
    model = onnx.load_from_string(data)
    del model.metadata_props[:]
    return sealed(model.SerializeToString() + entry(b"skdistill", text))


# -- changes of the graph --------------------------------------------------------------


def rewire(rng, data):
    """Change the graph through its own fields; every change is well-formed."""
    model = onnx.load_from_string(body_of(data))
    for _ in range(rng.choice((1, 1, 2, 4))):
        change = rng.choice((_attribute, _attribute, _tensor, _node, _names, _shape))
        if model.graph.node:
            change(rng, model.graph)
    return sealed(model.SerializeToString())


def _attribute(rng, graph):
    found = [a for node in graph.node for a in node.attribute]
    if not found:
        return
    attribute = rng.choice(found)
    numbers = attribute.ints or attribute.floats
    if rng.random() < 0.3 and (numbers or attribute.strings):
        values = numbers or attribute.strings
        del values[rng.randrange(len(values)) :]
    elif attribute.ints:
        for _ in range(rng.choice((1, 3))):
            # a number from elsewhere in the list makes circles of trees
            value = rng.choice(INTEGERS) * rng.choice((1, -1))
            value = rng.choice((value, rng.choice(attribute.ints)))
            attribute.ints[rng.randrange(len(attribute.ints))] = value
    elif attribute.floats:
        value = rng.choice((np.nan, np.inf, -1e38, 0.0))
        attribute.floats[rng.randrange(len(attribute.floats))] = value
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = rng.choice(INTEGERS) * rng.choice((1, -1))
    else:
        attribute.name = rng.choice(("axis", "to", "kernel_type", ""))


def _tensor(rng, graph):
    found = [*graph.initializer]
    found += [a.t for node in graph.node for a in node.attribute if a.HasField("t")]
    if not found:
        return
    tensor = rng.choice(found)
    way = rng.randrange(4)
    if way == 0 and tensor.dims:
        i = rng.randrange(len(tensor.dims))
        tensor.dims[i] = rng.choice(INTEGERS) * rng.choice((1, 1, -1))
    elif way == 1:
        tensor.data_type = rng.randrange(30)
    elif way == 2:
        del tensor.dims[rng.randrange(len(tensor.dims) + 1) :]
    elif tensor.raw_data:
        size = rng.choice((1, 4, 8))
        start = rng.randrange(len(tensor.raw_data))
        junk = rng.randbytes(size)
        raw = tensor.raw_data
        tensor.raw_data = (raw[:start] + junk + raw[start + size :])[: len(raw)]


def _node(rng, graph):
    node = rng.choice(graph.node)
    way = rng.randrange(4)
    if way == 0:
        node.op_type = rng.choice(
            "Gather Reshape MatMul Conv Loop Slice Split Cast Pow Softmax Concat "
            "TopK LSTM ScatterND GatherND Transpose Squeeze ReduceSum".split()
        )
    elif way == 1:
        graph.node.remove(node)
    elif way == 2:
        graph.node.append(node)
    else:
        node.domain = rng.choice(("", "ai.onnx.ml", "com.microsoft"))


def _names(rng, graph):
    node = rng.choice(graph.node)
    known = [name for n in graph.node for name in (*n.input, *n.output)]
    names = node.input if node.input and rng.random() < 0.7 else node.output
    names[rng.randrange(len(names))] = rng.choice((*known, "", "nowhere"))


def _shape(rng, graph):
    info = rng.choice((*graph.input, *graph.output))
    dims = info.type.tensor_type.shape.dim
    if rng.random() < 0.3:
        info.type.tensor_type.elem_type = rng.randrange(20)
    elif dims:
        dims[rng.randrange(len(dims))].dim_value = rng.choice(INTEGERS)


CHANGES = {
    # name: how often
    cut: 1,
    flip: 1,
    resealed(cut): 2,
    resealed(flip): 6,
    resealed(overwrite): 4,
    resealed(splice): 2,
    noise: 1,
    sealed_noise: 1,
    say: 5,
    say_nonsense: 1,
    rewire: 8,
}


# -- the worker ------------------------------------------------------------------------


def attempt(path):
    """How far a file comes: it is refused, or fails when asked, or answers."""
    try:
        model = load_onnx(path)
    except ValueError as error:
        assert str(error)
        return "refused"
    try:
        if model.metadata_["kind"] == "text":
            P = model.predict_proba(["a text", ""])
        else:
            rows = np.ones((5, model.n_features_in_), dtype=object)
            P = model.predict_proba(rows)
    except ValueError as error:
        assert str(error)
        return "failed"
    assert P.shape[1] == len(model.classes_), P.shape
    return "answered"


def watch(case):
    """Let nothing be opened but the file of the case, and nothing be run.

    Returns
    -------
    watched : callable
        Runs another one under watch: a hook cannot be taken off again.
    """
    is_on = False

    def hook(event, arguments):
        if is_on and event == "open":
            assert Path(arguments[0]) == case and arguments[1] in "rb", arguments
        elif is_on:
            assert not event.startswith(FORBIDDEN), (event, arguments)

    def watched(function, *arguments):
        nonlocal is_on
        is_on = True
        result = function(*arguments)
        is_on = False
        return result

    sys.addaudithook(hook)
    return watched


def main(seeds, n_cases, seed, case):
    """Run all cases and print what became of them."""
    faulthandler.enable()
    # Shows where it hangs, five seconds before the process is killed.
    faulthandler.register(signal.SIGXCPU, chain=False)
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    warnings.simplefilter("ignore")
    rng = random.Random(seed)
    files = [path.read_bytes() for path in sorted(Path(seeds).glob("*.onnx"))]
    changes, weights = zip(*CHANGES.items(), strict=True)
    case = Path(case)
    for data in files:
        case.write_bytes(data)
        assert attempt(case) == "answered"
    watched = watch(case)
    counts = Counter()
    for _ in range(n_cases):
        (change,) = rng.choices(changes, weights)
        data = change(rng, rng.choice(files))
        case.write_bytes(data)
        counts[change.__name__, watched(attempt, case)] += 1
    print(json.dumps([[*key, count] for key, count in sorted(counts.items())]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
