"""Pickles of plain data, read without running anything.

A pickle is a program for a small machine that may call any function of Python. This reads the program's instructions
and builds numbers, text, lists, tuples, dicts and arrays of numbers itself. There is no way from here to a function or
class: the few names that arrays are written with are matched as text, every other one is refused by its name.
"""

from __future__ import annotations

import math
import mmap
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from har.errors import ClipError

MAX_BYTES = 16 << 30
MAX_INSTRUCTIONS = 200_000_000
MAX_AXES = 8
_DTYPE = re.compile(r"[<>=|]?(?:[fiu][1248]|b1|[SU]\d{1,4})")

_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_KNOWN = {
    **{(module, name): name for module in _ARRAY_MODULES for name in ("_reconstruct", "scalar", "_frombuffer")},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "dict",
    ("builtins", "bytes"): "bytes",
    ("__builtin__", "bytes"): "bytes",
}
_MARK = object()


class UnpickleError(ValueError):
    """A pickle holds something other than plain data, or is damaged."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that arrays are written with; stands on the stack where the function would."""

    what: str


@dataclass(slots=True)
class _DType:
    """A type of numbers while its description is read."""

    code: str

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.code)


@dataclass(slots=True)
class _Array:
    """An array while its description is read; `value` is set by its last instruction."""

    value: np.ndarray[Any, Any] | None = None


def read_pickle(path: Path) -> Any:
    """Read a pickle of plain data: numbers, text, lists, tuples, dicts, arrays of numbers.

    Raises:
        ClipError: it names anything else, is damaged, or is too large; nothing of it was run.
    """
    try:
        if not 0 < path.stat().st_size <= MAX_BYTES:
            raise ClipError(f"{path}: has {path.stat().st_size} bytes; a pickle to import has 1 to {MAX_BYTES}.")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Machine().run(data)
    except OSError as error:
        raise ClipError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from None
    except UnpickleError as error:
        raise ClipError(f"{path}: {error}") from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise ClipError(f"{path}: is no readable pickle ({what}). Fetch or write it again.") from None


class _Machine:
    """The stack machine of a pickle, without its calls."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: mmap.mmap) -> Any:
        """Follow the instructions to the end and give what they leave behind."""
        for number, (instruction, argument, position) in enumerate(_instructions(data)):
            if number > MAX_INSTRUCTIONS:
                raise UnpickleError(f"has more than {MAX_INSTRUCTIONS} instructions. Split the set.")
            if instruction.name == "STOP":
                return _finished(self._pop())
            follow = _FOLLOW.get(instruction.name)
            if follow is None:
                raise UnpickleError(
                    f"byte {position}: instruction {instruction.name} has no place in plain data; nothing was run. "
                    "Write the set with arrays, lists, dicts, numbers and text only."
                )
            follow(self, argument)
        raise UnpickleError("ends too early. Fetch it again.")

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise UnpickleError("is damaged: a mark where a value should be. Fetch it again.")
        return value

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def mark(self, _: Any) -> None:
        """Begin a list of items."""
        self._stack.append(_MARK)

    def nothing(self, _: Any) -> None:
        """Do nothing: protocol and frames only tell sizes."""

    def drop(self, _: Any) -> None:
        """Drop the topmost."""
        self._stack.pop()

    def drop_to_mark(self, _: Any) -> None:
        """Drop everything since the last mark."""
        self._pop_to_mark()

    def double(self, _: Any) -> None:
        """Put the topmost on the stack again."""
        self._stack.append(self._stack[-1])

    def put(self, index: Any) -> None:
        """Remember the topmost; None means under the next free number."""
        self._memo[len(self._memo) if index is None else int(index)] = self._stack[-1]

    def get(self, index: Any) -> None:
        """Put what was remembered on the stack."""
        self._stack.append(self._memo[int(index)])

    def append(self, _: Any) -> None:
        """Add one item to a list."""
        value = _finished(self._pop())
        self._list().append(value)

    def extend(self, _: Any) -> None:
        """Add items to a list."""
        items = [_finished(item) for item in self._pop_to_mark()]
        self._list().extend(items)

    def _list(self) -> list[Any]:
        if not isinstance(self._stack[-1], list):
            raise UnpickleError("is damaged: items for what is no list. Fetch it again.")
        return self._stack[-1]

    def set_item(self, _: Any) -> None:
        """Add one pair to a dict."""
        value, key = self._pop(), self._pop()
        self._fill([key, value])

    def set_items(self, _: Any) -> None:
        """Add pairs to a dict."""
        self._fill(self._pop_to_mark())

    def _fill(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise UnpickleError("is damaged: pairs for what is no dict. Fetch it again.")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int | float | bytes):
                raise UnpickleError(f"a dict has a {type(key).__name__} for a key. Only text and numbers can be keys.")
            target[key] = _finished(value)

    def empty_list(self, _: Any) -> None:
        """Begin a list."""
        self._stack.append([])

    def empty_dict(self, _: Any) -> None:
        """Begin a dict."""
        self._stack.append({})

    def list_of(self, _: Any) -> None:
        """Make a list of everything since the mark."""
        self._stack.append([_finished(item) for item in self._pop_to_mark()])

    def dict_of(self, _: Any) -> None:
        """Make a dict of everything since the mark."""
        items = self._pop_to_mark()
        self._stack.append({})
        self._fill(items)

    def tuple_of(self, _: Any) -> None:
        """Make a tuple of everything since the mark."""
        self._stack.append(tuple(self._pop_to_mark()))

    def tuple_of_last(self, n: int) -> None:
        """Make a tuple of the last values."""
        self._stack.append(tuple([self._pop() for _ in range(n)][::-1]))

    def name(self, argument: Any) -> None:
        """Put a known name on the stack; `argument` is "module name"."""
        module, _, name = str(argument).partition(" ")
        self._push_name(module, name)

    def stacked_name(self, _: Any) -> None:
        """The same with module and name on the stack."""
        name, module = self._pop(), self._pop()
        self._push_name(module, name)

    def _push_name(self, module: Any, name: Any) -> None:
        known = _KNOWN.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if known is None:
            shown = f"{str(module)[:60]}.{str(name)[:60]}" if isinstance(module, str) else type(module).__name__
            raise UnpickleError(
                f"asks for {shown}, which is neither array, list, dict, number nor text; it is refused and nothing "
                "was run. Write the set with plain data only."
            )
        self._stack.append(_Name(known))

    def call(self, _: Any) -> None:
        """Make what a known name with arguments describes."""
        arguments, name = self._pop(), self._pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise UnpickleError("calls something that is no name; it is refused and nothing was run.")
        self._stack.append(_make(name.what, arguments))

    def build(self, _: Any) -> None:
        """Finish an array or a type of numbers."""
        state, target = self._pop(), self._stack[-1]
        if isinstance(target, _DType) and isinstance(state, tuple) and len(state) >= 2 and state[1] in ("<", ">", "|"):
            target.code = state[1] + target.code.lstrip("<>=|")
        elif isinstance(target, _Array) and isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, is_fortran, raw = state
            target.value = _array(raw, dtype, shape, order="F" if is_fortran else "C")
        else:
            raise UnpickleError("sets the inside of an object that is no array; it is refused and nothing was run.")


def _instructions(data: mmap.mmap) -> Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]:
    return pickletools.genops(data)  # type: ignore[arg-type]  # reads, readline and tell are all it uses


def _make(what: str, arguments: tuple[Any, ...]) -> Any:
    match what, arguments:
        case "dtype", (str(code), *_):
            return _dtype(code)
        case "_reconstruct", (_Name("ndarray"), (0,), _):
            return _Array()
        case "_frombuffer", (raw, _DType() as dtype, shape, ("C" | "F") as order):
            return _Array(_array(raw, dtype, shape, order=order))
        case "scalar", (_DType() as dtype, raw):
            return _array(raw, dtype, (), order="C").item()
        case "encode", (str(text), "latin1"):
            return text.encode("latin1")
        case "bytes", ():
            return b""
        case "dict", ():
            return {}
    raise UnpickleError(f"uses {what} in a way that arrays are not written; it is refused and nothing was run.")


def _dtype(code: str) -> _DType:
    if not _DTYPE.fullmatch(code):
        raise UnpickleError(
            f"holds an array of type {code[:20]!r}. Only arrays of plain numbers are read, never of Python objects."
        )
    return _DType(code)


def _array(raw: Any, dtype: Any, shape: Any, *, order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, _DType) or not isinstance(shape, tuple) or len(shape) > MAX_AXES:
        raise UnpickleError("is damaged: an array without type or shape. Fetch it again.")
    if isinstance(raw, str):  # of Python 2
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray) or not all(type(size) is int and size >= 0 for size in shape):
        raise UnpickleError("holds an array of Python objects. Only arrays of plain numbers are read.")
    kind = dtype.dtype()
    if math.prod(shape) * kind.itemsize != len(raw):
        raise UnpickleError(f"an array says it is {shape} {kind} but has {len(raw)} bytes. Fetch or write it again.")
    return np.frombuffer(bytes(raw), dtype=kind).reshape(shape, order=order)


def _finished(value: Any) -> Any:
    """Give an array itself, and refuse what is only a step towards one."""
    if isinstance(value, _Array):
        if value.value is None:
            raise UnpickleError("is damaged: an array without content. Fetch it again.")
        return value.value
    if isinstance(value, tuple):
        return tuple(_finished(item) if isinstance(item, _Array | _Name | _DType) else item for item in value)
    if isinstance(value, _Name | _DType):
        raise UnpickleError("holds a class or type as a value; it is refused and nothing was run.")
    return value


_Follow = Callable[[_Machine, Any], None]
_FOLLOW: dict[str, _Follow] = {
    **dict.fromkeys(("PROTO", "FRAME", "READONLY_BUFFER"), _Machine.nothing),
    **dict.fromkeys(
        (
            *("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
            *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
            *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        ),
        _Machine.push,
    ),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_to_mark,
    "DUP": _Machine.double,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "EMPTY_LIST": _Machine.empty_list,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "LIST": _Machine.list_of,
    "EMPTY_DICT": _Machine.empty_dict,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "DICT": _Machine.dict_of,
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": _Machine.tuple_of,
    "TUPLE1": lambda machine, _: machine.tuple_of_last(1),
    "TUPLE2": lambda machine, _: machine.tuple_of_last(2),
    "TUPLE3": lambda machine, _: machine.tuple_of_last(3),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stacked_name,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}
