"""Interpreter of pickles that makes data and never imports, calls or builds anything else.

A name in the pickle is text.  "Calling" it makes a tensor, a dictionary or a `Record` of its
arguments.  Loops do not exist in pickles, and the number of opcodes, the pairs that calls copy and
the length of keys are limited, so the time and memory of reading are bounded.  A value may hold
another one many times, which bounds nothing for who walks through it.
"""

from __future__ import annotations

from typing import Any

from earbit.errors import FormatError, shown
from earbit.hub.pickle_opcodes import MAX_OPCODES, Buffer, opcodes
from earbit.hub.pickle_values import Named, Record, StorageRecord, named, storage_of, tensor_of

_TENSORS = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"}
_PARAMETERS = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
}
_DICTIONARIES = {"collections.OrderedDict", "collections.defaultdict"}
_MARK = Record("mark")
MAX_COPIED = MAX_OPCODES
"""Pairs that all calls of dictionaries copy together; one list may be given to many calls."""
MAX_KEY = 1024
"""Length of a text as a key, in characters, since equal keys are compared."""
MAX_KEY_NUMBER = 2**31
"""Greater numbers are no keys of dictionaries and of the memo, since many can have one hash."""


def read_pickle(data: Buffer, start: int = 0) -> tuple[Any, int, dict[str, StorageRecord]]:
    """The value of a pickle, the offset behind it, and its storages by key.

    Raises FormatError for a damaged pickle and for names of unknown modules.
    """
    machine = _Machine()
    end = start
    for opcode, argument, at in opcodes(data, start):
        end = at
        machine.step(opcode, argument)
    return machine.pop(), end, machine.storages


class _Machine:
    """Stack and memo of one pickle."""

    def __init__(self) -> None:
        self.storages: dict[str, StorageRecord] = {}
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._n_copied = 0

    def pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise FormatError("the pickle takes a value from an empty stack")
        return self._stack.pop()

    def _top(self) -> Any:
        value = self.pop()
        self._stack.append(value)
        return value

    def _since_mark(self) -> list[Any]:
        for at in range(len(self._stack) - 1, -1, -1):
            if self._stack[at] is _MARK:
                values = self._stack[at + 1 :]
                del self._stack[at:]
                return values
        raise FormatError("the pickle has no mark where it needs one")

    def step(self, opcode: str, argument: Any) -> None:
        """Executes one opcode."""
        push = self._stack.append
        match opcode:
            case "\x80" | "\x95" | ".":  # protocol, frame, stop
                pass
            case "(":
                push(_MARK)
            case "0":
                self.pop()
            case "1":
                self._since_mark()
            case "2":
                push(self._top())
            case "N":
                push(None)
            case "\x88" | "\x89":
                push(opcode == "\x88")
            case "c":
                push(named(*argument))
            case "\x93":
                name, module = self.pop(), self.pop()
                if not isinstance(name, str) or not isinstance(module, str):
                    raise FormatError("the pickle has a name that is not text")
                push(named(module, name))
            case "P":
                push(self._storage(argument))
            case "Q":
                push(self._storage(self.pop()))
            case "p" | "q" | "r":
                if not 0 <= argument < MAX_KEY_NUMBER:
                    raise FormatError(f"the pickle writes memo {shown(argument)}; allowed: 31 bits")
                self._memo[argument] = self._top()
            case "\x94":
                self._memo[len(self._memo)] = self._top()
            case "g" | "h" | "j":
                if argument not in self._memo:
                    raise FormatError(f"the pickle reads memo {argument}, which it did not write")
                push(self._memo[argument])
            case "}" | "]" | ")" | "\x8f" | "\x85" | "\x86" | "\x87" | "t" | "l" | "d" | "\x91":
                push(self._collection(opcode))
            case "s" | "u" | "a" | "e" | "\x90":
                self._fill(opcode)
            case "R" | "\x81" | "\x92" | "o" | "i" | "b":
                self._object(opcode, argument)
            case "\x82" | "\x83" | "\x84" | "\x97" | "\x98":
                raise FormatError(
                    "the pickle refers to values outside of the file (extension codes or buffers)"
                )
            case _:  # a number, a text or bytes
                push(argument)

    def _storage(self, persistent: Any) -> StorageRecord:
        # Cut to one item more than the longest valid tuple, since `storage_of` copies the rest.
        storage = storage_of(persistent[:7] if isinstance(persistent, tuple) else persistent)
        known = self.storages.setdefault(storage.key, storage)
        if (known.kind, known.n_elements) != (storage.kind, storage.n_elements):
            raise FormatError(f"the pickle describes storage {storage.key[:80]!r} in two ways")
        return known

    def _collection(self, opcode: str) -> Any:
        match opcode:
            case "}":
                return {}
            case "]" | "\x8f":
                return []
            case ")":
                return ()
            case "\x85" | "\x86" | "\x87":
                values = [self.pop() for _ in range(ord(opcode) - 0x84)]
                return tuple(reversed(values))
            case "t":
                return tuple(self._since_mark())
            case "d":
                return _pairs(self._since_mark())
            case _:  # lists; sets are lists too, because elements may have no hash
                return self._since_mark()

    def _fill(self, opcode: str) -> None:
        match opcode:
            case "s":
                values = [self.pop(), self.pop()][::-1]
            case "a":
                values = [self.pop()]
            case _:
                values = self._since_mark()
        target = self._top()
        if opcode in "su":
            filled = target.items if isinstance(target, Record) else target
            if not isinstance(filled, dict):
                raise FormatError("the pickle sets items of something that is not a dictionary")
            filled.update(_pairs(values))
        elif isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Record):
            target.items.update({len(target.items) + i: v for i, v in enumerate(values)})
        else:
            raise FormatError("the pickle appends to something that is not a list")

    def _object(self, opcode: str, argument: Any) -> None:
        if opcode == "b":
            state, target = self.pop(), self._top()
            if isinstance(target, Record) and target is not _MARK:
                target.state = state
            return  # attributes of a dictionary or a tensor are not needed
        keywords: Any = {}
        match opcode:
            case "i":
                made, arguments = named(*argument), tuple(self._since_mark())
            case "o":
                made, *rest = self._since_mark() or [None]
                arguments = tuple(rest)
            case "\x92":
                keywords, arguments, made = self.pop(), self.pop(), self.pop()
            case _:
                arguments, made = self.pop(), self.pop()
        if not isinstance(made, Named) or not isinstance(arguments, tuple):
            raise FormatError("the pickle calls something that is not a name")
        if made.name in _DICTIONARIES:
            pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
            self._n_copied += len(pairs)
            if self._n_copied > MAX_COPIED:
                raise FormatError(f"the pickle copies more than {MAX_COPIED:,} pairs in calls")
        self._stack.append(_made(made.name, arguments, keywords))


def _made(name: str, arguments: tuple[Any, ...], keywords: Any) -> Any:
    if name in _TENSORS:
        return tensor_of(arguments)
    if name in _PARAMETERS and arguments:
        return arguments[0]
    if name in _DICTIONARIES:
        pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
        flat = [value for pair in pairs if _is_pair(pair) for value in pair]
        return _pairs(flat)
    return Record(name, arguments, items=keywords if isinstance(keywords, dict) else {})


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2


def _pairs(values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise FormatError("the pickle has a key without a value")
    return {_key(k): v for k, v in zip(values[::2], values[1::2], strict=True)}


def _key(value: Any) -> Any:
    """A key that no file can give the hash of many others; other values are wrapped.

    Long numbers have chosen hashes, and so have tuples: -1 and -2 hash alike.
    """
    if isinstance(value, (str, bytes)):
        if len(value) > MAX_KEY:
            raise FormatError(f"the pickle has a key of {len(value)} characters")
        return value
    is_short = isinstance(value, int) and -MAX_KEY_NUMBER <= value < MAX_KEY_NUMBER
    return value if value is None or is_short else Record("key", (value,))
