"""Serves the public methods of Python classes as tools, by the Model Context Protocol over standard input and output.

usage: python_tools.py [--call-seconds N] CLASS [CLASS …]

CLASS is `module:Name`, or `bfcl:Name` for an API class of the package `bfcl-eval`, or `bfcl` for the eight of its
multi-turn categories. Nothing but the standard library is needed, besides what the classes need themselves.

Instances live in *worlds*: a world has one fresh instance of each of its classes, set up by the class's
`_load_scenario(config, long_context=…)` where it has one. Many worlds live at once, so one warm process serves many episodes.

- Every public method is a tool of its own. It acts on the world named by `_meta.world`, or on one that is made at first use.
- `world_run` carries out a list of runs. A run may open a world, runs calls given as *text*, step by step, may tell the
  state or its digest afterwards, and may close the world.

The text of a call is never given to `eval`: it is parsed by `ast` and walked by an interpreter that knows literals,
arithmetic, pure functions and the methods of the world's own instances. Results are texts, as BFCL's executor writes them:
a `str` as it is, a `dict` as JSON, anything else by `str()`, and `Error during execution: …` with CPython's own message for
whatever was raised. What `eval` would do and this interpreter refuses (lambdas, comprehensions, attributes of objects,
functions that reach the world) ends in such an error too.

This file does not confine what the classes' own code does. Run it in a sandbox.
"""

import ast
import builtins
import copy
import hashlib
import importlib
import inspect
import json
import operator
import os
import re
import signal
import sys
import typing

PROTOCOLS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
BFCL = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}
BFCL_MODULES = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code."
# First names of calls that BFCL's executor refuses, whatever they mean.
FORBIDDEN = {"kill", "exit", "quit", "remove", "unlink", "popen", "Popen", "run"}
# A name before an opening parenthesis, anywhere in the text: inside of strings too, as the official executor has it.
CALLED = re.compile(r"(?<!\w)([A-Za-z_]\w*)\s*(?=\()")
# Classes whose states are told by these attributes alone.
PARTS = {"Directory": ("name", "contents"), "File": ("name", "content")}


class Refused(Exception):
    """A call that Python would evaluate and this interpreter does not."""


class TooLong(BaseException):
    """A call ran out of time. Not an `Exception`, so that the classes' own handlers let it pass."""


class Wrong(Exception):
    """A request that cannot be carried out. The code is JSON-RPC's."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


# ---- The interpreter -------------------------------------------------------------------------------------------------

LARGEST = 10_000_000  # elements of a sequence
WIDEST = 100_000  # bits of an integer


def bits(value):
    return value.bit_length() if isinstance(value, int) else 0


def multiply(left, right):
    for many, times in ((left, right), (right, left)):
        if isinstance(many, (str, bytes, list, tuple)) and isinstance(times, int) and len(many) * times > LARGEST:
            raise Refused(f"a sequence of more than {LARGEST} elements is not made")
    if bits(left) + bits(right) > WIDEST:
        raise Refused(f"an integer of more than {WIDEST} bits is not made")
    return left * right


def power(base, exponent, modulus=None):
    if modulus is not None:
        return pow(base, exponent, modulus)
    if isinstance(exponent, int) and exponent > 0 and bits(base) * exponent > WIDEST:
        raise Refused(f"an integer of more than {WIDEST} bits is not made")
    return base**exponent


def shift(left, right):
    if isinstance(right, int) and bits(left) + right > WIDEST:
        raise Refused(f"an integer of more than {WIDEST} bits is not made")
    return left << right


def remainder(left, right):
    if isinstance(left, (str, bytes)):
        raise Refused("formatting by `%` is not evaluated")
    return left % right


def span(*limits):
    made = range(*limits)
    if made and abs(made[-1] - made[0]) // abs(made.step) >= LARGEST:
        raise Refused(f"a sequence of more than {LARGEST} elements is not made")
    return made


def said(*values, sep=" ", end="\n", file=None, flush=False):
    sys.stderr.write((" " if sep is None else sep).join(map(str, values)) + ("\n" if end is None else end))


FUNCTIONS = {
    **{
        function.__name__: function
        for function in (
            abs, all, any, ascii, bin, bool, chr, complex, dict, divmod, enumerate, float, frozenset, hash, hex, int, len,
            list, max, min, oct, ord, repr, reversed, round, set, sorted, str, sum, tuple, zip,
        )
    },
    "pow": power,
    "print": said,
    "range": span,
}  # fmt: skip

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: multiply,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: remainder,
    ast.MatMult: operator.matmul,
    ast.Pow: power,
    ast.LShift: shift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
# Names that mean modules where BFCL's executor evaluates. Nothing of them can be reached here, only their being there shows.
MODULES = {module.__name__: module for module in (copy, importlib, inspect, json, re)}
PLAIN = (str, int, float, complex, bool, type(None), list, tuple, dict, set, frozenset)
# Methods of plain values that could make much of little, or read attributes.
UNSAFE = {"format", "format_map", "ljust", "rjust", "center", "zfill", "expandtabs", "translate", "to_bytes"}


class Interpreter:
    """Evaluates one parsed expression. `names` maps the names of instances to them."""

    def __init__(self, names):
        self.names = names

    def value(self, node):
        walk = getattr(self, type(node).__name__, None)
        if walk is None:
            raise Refused(f"{type(node).__name__} is not evaluated")
        return walk(node)

    def Expression(self, node):
        return self.value(node.body)

    def Constant(self, node):
        return node.value

    def Name(self, node):
        if node.id in self.names:
            return self.names[node.id]
        if node.id in FUNCTIONS:
            return FUNCTIONS[node.id]
        if node.id in MODULES:
            return MODULES[node.id]
        if hasattr(builtins, node.id):
            raise Refused(f"`{node.id}` is not for calls")
        raise NameError(f"name '{node.id}' is not defined")

    def items(self, nodes):
        made = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                made = [*made, *self.value(node.value)]
            else:
                made.append(self.value(node))
        return made

    def List(self, node):
        return self.items(node.elts)

    def Tuple(self, node):
        return tuple(self.items(node.elts))

    def Set(self, node):
        return set(self.items(node.elts))

    def Dict(self, node):
        made = {}
        for key, value in zip(node.keys, node.values):
            if key is None:
                made.update(self.value(value))
            else:
                name = self.value(key)
                made[name] = self.value(value)
        return made

    def UnaryOp(self, node):
        return OPERATORS[type(node.op)](self.value(node.operand))

    def BinOp(self, node):
        return OPERATORS[type(node.op)](self.value(node.left), self.value(node.right))

    def BoolOp(self, node):
        for operand in node.values:
            value = self.value(operand)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def Compare(self, node):
        left = self.value(node.left)
        for sign, operand in zip(node.ops, node.comparators):
            right = self.value(operand)
            held = OPERATORS[type(sign)](left, right)
            if not held:
                break
            left = right
        return held

    def IfExp(self, node):
        return self.value(node.body if self.value(node.test) else node.orelse)

    def JoinedStr(self, node):
        return "".join(self.value(part) for part in node.values)

    def FormattedValue(self, node):
        value = self.value(node.value)
        if node.conversion != -1:
            value = {"s": str, "r": repr, "a": ascii}[chr(node.conversion)](value)
        form = "" if node.format_spec is None else self.value(node.format_spec)
        if type(value) not in PLAIN or re.search(r"\d{5}", form):
            raise Refused("this format is not evaluated")
        return format(value, form)

    def Slice(self, node):
        return slice(*(part and self.value(part) for part in (node.lower, node.upper, node.step)))

    def Subscript(self, node):
        holder, index = self.value(node.value), self.value(node.slice)
        return holder[index]

    def Attribute(self, node):
        holder = self.value(node.value)
        if any(holder is instance for instance in self.names.values()):
            if node.attr.startswith("_") or not inspect.ismethod(getattr(holder, node.attr, None)):
                raise Refused(f"`{node.attr}` is not a public method")
        elif type(holder) not in PLAIN or node.attr.startswith("_") or node.attr in UNSAFE:
            raise Refused(f"the attribute `{node.attr}` is not evaluated")
        return getattr(holder, node.attr)

    def Call(self, node):
        function = self.value(node.func)
        if len(node.args) == 1 and isinstance(node.args[0], ast.Starred):
            arguments = self.value(node.args[0].value)
        else:
            arguments = self.items(node.args)
        named, more = {}, []
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is None:
                more.append(value)
            else:
                named[keyword.arg] = value
        # Spelled out, so that what is wrong with `*` and `**` is said by CPython.
        if not more:
            return function(*arguments, **named)
        if len(more) == 1:
            return function(*arguments, **named, **more[0])
        if len(more) == 2:
            return function(*arguments, **named, **more[0], **more[1])
        raise Refused("a call with more than two `**` is not evaluated")


# ---- Worlds ----------------------------------------------------------------------------------------------------------


def own(instance):
    """Copies what an instance holds: some classes put their module's own lists into it, by which a call would change the
    instances of other worlds."""
    try:
        vars(instance).update(copy.deepcopy(vars(instance)))
    except TypeError:
        pass  # It has no attributes, or something like a lock, of which there is only one.


class World:
    """One instance of each class, and what they are called in evaluated texts."""

    def __init__(self, classes, config, long_context, label):
        self.instances, self.names, self.methods = {}, {}, {}
        for name, made in classes.items():
            instance = made()
            load = getattr(instance, "_load_scenario", None)
            if load is not None:
                load(copy.deepcopy(config.get(name, {})), long_context=long_context)
                own(instance)
            called = re.sub(r"[-./:]", "_", f"{label}_{name}_instance")
            self.instances[name] = instance
            self.names[called] = instance
            for method, _ in public(instance):
                self.methods[method] = (called, name)

    def run(self, text, seconds):
        """Returns the result of one call given as text."""
        text = CALLED.sub(lambda found: self.prefixed(found.group(1)), text)
        try:
            first = text.partition("(")[0]
            if "." in first:
                first = first.split(".")[1]
            if first in FORBIDDEN:
                raise Refused(f"Function call {first} is not allowed.")
            tree = compile(text.lstrip(" \t"), "<string>", "eval", ast.PyCF_ONLY_AST)
            # Nothing of this is run: mistakes that the parser lets pass are found by the compiler.
            compile(tree, "<string>", "eval")
            return shown(within(seconds, lambda: Interpreter(self.names).value(tree)))
        except (Exception, TooLong, SystemExit) as error:
            return f"Error during execution: {error}"

    def prefixed(self, name):
        return f"{self.methods[name][0]}.{name}" if name in self.methods else name

    def call(self, class_name, method, arguments, seconds):
        """Runs one method with arguments by name. Returns the text of the result, and whether it is an error."""
        try:
            bound = getattr(self.instances[class_name], method)
            return shown(within(seconds, lambda: bound(**arguments))), False
        except (Exception, TooLong, SystemExit) as error:
            return f"Error during execution: {error}", True

    def state(self):
        """Returns the public attributes of every instance, as JSON with tags for what JSON cannot hold."""
        told = {}
        for name, instance in self.instances.items():
            told[name] = {key: tagged(value) for key, value in vars(instance).items() if not key.startswith("_")}
            place = getattr(instance, "_current_dir", None)
            if place is not None:
                told[name]["__cwd_info__"] = path_of(place)
        return told


def public(instance):
    return [pair for pair in inspect.getmembers(instance, predicate=inspect.ismethod) if not pair[0].startswith("_")]


def within(seconds, work):
    """Does the work, or raises `TooLong`. One long step in C (a huge power) is beyond this: the client's timeout ends it."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def shown(value):
    if type(value) is str:
        return value
    if type(value) is dict:
        try:
            return json.dumps(value)
        except Exception:
            return str(value)
    return str(value)


def tagged(value):
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if abs(value) < 2**63 else {"__bigint__": str(value)}
    if kind is float:
        return value if value - value == 0.0 else {"__float__": repr(value)}
    if kind is list:
        return [tagged(element) for element in value]
    if kind is tuple:
        return {"__tuple__": [tagged(element) for element in value]}
    if kind is dict:
        if all(type(key) is str for key in value):
            return {key: tagged(element) for key, element in value.items()}
        return {"__dict__": [[tagged(key), tagged(element)] for key, element in value.items()]}
    if kind in (set, frozenset):
        return {"__set__": sorted(map(repr, value))}
    if kind is bytes:
        return {"__bytes__": repr(value)}
    if kind.__name__ in PARTS:
        parts = {part: tagged(getattr(value, part)) for part in PARTS[kind.__name__]}
        return {"type": kind.__name__.lower(), **parts}
    return {"__other__": repr(value)}


def speakable(value):
    """Returns JSON values with half surrogates, which no UTF-8 can hold, written out as `\\udXXX`."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [speakable(element) for element in value]
    if isinstance(value, dict):
        return {speakable(key): speakable(element) for key, element in value.items()}
    return value


def path_of(place):
    names = []
    while place is not None:
        names.append(place.name)
        place = place.parent
    return "/".join(reversed(names))


# ---- The protocol ----------------------------------------------------------------------------------------------------

KINDS = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", tuple: "array", dict: "object"}
KINDS[type(None)] = "null"
TEXTS = {"type": "array", "items": {"type": "string"}}
RUN = {
    "name": "world_run",
    "description": "Carries out runs in order. A run may open a world, runs calls given as text step by step, may tell the "
    "digest of the state or the state itself afterwards, and may close the world.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "runs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "world": {"type": "string"},
                        "open": {
                            "type": "object",
                            "properties": {
                                "classes": TEXTS,
                                "config": {"type": "object"},
                                "long_context": {"type": "boolean"},
                                "label": {"type": "string"},
                            },
                        },
                        "steps": {"type": "array", "items": TEXTS},
                        "observe": {"enum": ["nothing", "digest", "state"]},
                        "close": {"type": "boolean"},
                    },
                    "required": ["world"],
                },
            }
        },
        "required": ["runs"],
    },
}


def schema_of(annotation):
    if annotation in KINDS:
        return {"type": KINDS[annotation]}
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (list, tuple) and parts:
        return {"type": "array", "items": schema_of(parts[0])}
    if origin in KINDS:
        return {"type": KINDS[origin]}
    if origin is typing.Union:
        return {"anyOf": [schema_of(part) for part in parts]}
    if origin is typing.Literal:
        return {"enum": list(parts)}
    return {}


def tool_of(name, method):
    properties, required = {}, []
    signature = inspect.signature(method)
    for parameter in list(signature.parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        properties[parameter.name] = schema_of(parameter.annotation)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        else:
            try:
                properties[parameter.name]["default"] = json.loads(json.dumps(parameter.default))
            except (TypeError, ValueError):
                pass
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"name": name, "description": inspect.getdoc(method) or "", "inputSchema": schema}


class Server:
    """What the protocol asks for, done on worlds."""

    def __init__(self, classes, seconds):
        self.classes, self.seconds, self.worlds = classes, seconds, {}
        methods = [
            (name, method, function)
            for name, made in classes.items()
            for method, function in inspect.getmembers(made, inspect.isfunction)
            if not method.startswith("_")
        ]
        self.tools, self.owners = [RUN], {}
        for name, method, function in methods:
            alone = sum(other == method for _, other, _ in methods) == 1 and method != RUN["name"]
            tool = method if alone else f"{name}.{method}"
            self.owners[tool] = (name, method)
            self.tools.append(tool_of(tool, function))

    def answer(self, method, parameters):
        if method == "initialize":
            asked = parameters.get("protocolVersion")
            return {
                "protocolVersion": asked if asked in PROTOCOLS else PROTOCOLS[-1],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "python_tools", "version": "1"},
            }
        if method == "ping":
            return {}
        if method == "tools/list":
            return {"tools": self.tools}
        if method == "tools/call":
            return self.call(parameters)
        raise Wrong(-32601, f"unknown method `{method}`")

    def call(self, parameters):
        name, arguments = parameters.get("name"), parameters.get("arguments") or {}
        if name == RUN["name"]:
            told = {"runs": [self.run(run) for run in arguments["runs"]]}
            return {"content": [], "structuredContent": told, "isError": False}
        if name not in self.owners:
            raise Wrong(-32602, f"unknown tool `{name}`")
        world = (parameters.get("_meta") or {}).get("world", "default")
        if world not in self.worlds and world == "default":
            self.open(world, {})
        text, failed = self.world(world).call(*self.owners[name], arguments, self.seconds)
        return {"content": [{"type": "text", "text": text}], "isError": failed}

    def world(self, name):
        if name not in self.worlds:
            raise Wrong(-32602, f"no world `{name}` is open")
        return self.worlds[name]

    def open(self, name, wanted):
        classes = {}
        for class_name in wanted.get("classes", self.classes):
            if class_name not in self.classes:
                raise Wrong(-32602, f"unknown class `{class_name}`, known: {', '.join(self.classes)}")
            classes[class_name] = self.classes[class_name]
        config, label = wanted.get("config", {}), wanted.get("label", name)
        try:
            self.worlds[name] = World(classes, config, wanted.get("long_context", False), label)
        except Exception as error:
            raise Wrong(-32602, f"world `{name}` cannot be set up: {type(error).__name__}: {error}") from error

    def run(self, run):
        name = run["world"]
        if run.get("open") is not None:
            self.open(name, run["open"])
        world = self.world(name)
        told = {"results": [[world.run(text, self.seconds) for text in step] for step in run.get("steps", [])]}
        observe = run.get("observe", "nothing")
        if observe != "nothing":
            state = world.state()
            told["digest"] = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
            if observe == "state":
                told["state"] = state
        if run.get("close"):
            del self.worlds[name]
        return told


def reply(server, line):
    """Returns the answer to one line, or `None` where none is due."""
    try:
        message = json.loads(line)
    except ValueError as error:
        return {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": str(error)}}
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        if isinstance(message, dict) and "method" not in message and "id" in message:
            return None
        return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "not a request"}}
    if "id" not in message:
        return None
    try:
        result = server.answer(message["method"], message.get("params") or {})
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}
    except Wrong as error:
        return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": error.code, "message": str(error)}}
    except (KeyError, TypeError, AttributeError) as error:
        text = f"malformed parameters: {type(error).__name__}: {error}"
        return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32602, "message": text}}


def load(wanted):
    classes = {}
    for name in wanted:
        module, _, class_name = name.partition(":")
        known = BFCL if name == "bfcl" else {class_name: None}
        for class_name in known:
            source = BFCL_MODULES + BFCL[class_name] if module == "bfcl" else module
            classes[class_name] = getattr(importlib.import_module(source), class_name)
    return classes


def give_up(*_):
    raise TooLong("the call took too long")


def main(arguments):
    seconds = 5.0
    if arguments[:1] == ["--call-seconds"]:
        seconds, arguments = float(arguments[1]), arguments[2:]
    if not arguments:
        sys.exit(__doc__.splitlines()[2])
    # Whatever the classes print goes to standard error: standard output is the protocol's.
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    try:
        server = Server(load(arguments), seconds)
    except (ImportError, AttributeError, KeyError) as error:
        sys.exit(f"python_tools: a class cannot be loaded: {type(error).__name__}: {error}")
    signal.signal(signal.SIGALRM, give_up)
    for line in sys.stdin.buffer:
        told = reply(server, line)
        if told is not None:
            text = json.dumps(told, separators=(",", ":"))
            if "\\ud" in text:
                text = json.dumps(speakable(told), separators=(",", ":"))
            data = memoryview(text.encode() + b"\n")
            while data:
                data = data[out.write(data) :]


if __name__ == "__main__":
    main(sys.argv[1:])
