"""LLVM text to running code.

Owns the way from a module's text to addresses in memory: `compile_text` looks in memory, then on
disk, then compiles. LLVM is loaded when something has to be compiled: what is on disk is mostly
linked without it (`loading.py`). There is no pass pipeline: kernels are written with explicit
vector types and go straight to instruction selection at code generation level 1.

Nothing here may change a result's bits. LLVM contracts a separate multiplication and addition
only where an instruction carries a fast-math flag, which our text never does; denormals are kept.
"""

import contextlib
import importlib
import os
import re
import time
from collections.abc import Sequence
from typing import Any

from rushlight.base.lazy import LOADING as _LOCK
from rushlight.base.target import Target, host
from rushlight.runtime import disk_cache, loading

_LIBRARIES: dict[str, "Library"] = {}
_PASSING: dict[str, "Library"] = {}  # of the present generation
_DEAD: list[Any] = []  # linkers that no library needs any more, to be taken down under the lock
_SESSIONS: list["_Session"] = []  # at most one
_MACHINES: dict[str, Any] = {}

GENERATION = 512
"""Libraries of passing code that are linked, and go, together (about 60 KiB each)."""

STARTED = time.time()
"""When this process took over the package's files as they were."""

_MODULE = "; ---- module\n"  # between the modules of one text
_DEFINE = re.compile(r"^(define .*?)( #0)?(?= (?:align \d+ )?\{$)", re.MULTILINE)


class Library:
    """Native functions of one compiled text. Their code stays loaded as long as the library is
    referred to (that of passing code) or until the process ends.

    Attributes:
        name: what the text was called by whoever compiled it.
        digest: identity of text and target.
        size: bytes of object code.
        addresses: of its functions, by name.
        from_disk: whether the object code came from the disk cache.
        digests: its own, behind those of the libraries that it calls.
    """

    def __init__(
        self, linker: "_Linker", name: str, digest: str, code: bytes, from_disk: bool,
        needs: Sequence["Library"] = (),
    ) -> None:  # fmt: skip
        self.name = name
        self.digest = digest
        self.digests = [*[need.digest for need in needs], digest]
        self.size = len(code)
        self.from_disk = from_disk
        self._linker = linker  # holds the code
        self.addresses = linker.link(digest, code, needs)

    def address(self, symbol: str) -> int:
        """The address of an exported function.

        Raises:
            KeyError: the text defines no such external function.
        """
        try:
            return self.addresses[symbol]
        except KeyError:
            names = ", ".join(sorted(self.addresses))
            raise KeyError(
                f"no function {symbol!r} in library {self.name!r}; it has {names}"
            ) from None

    def __repr__(self) -> str:
        return f"<Library {self.name} {self.digest[:8]}: {', '.join(sorted(self.addresses))}>"


def compile_text(
    ir: str, *, name_hint: str = "kernel", target: Target | None = None, level: int = 1,
    passing: bool = False,
) -> Library:  # fmt: skip
    """Compiles functions given as LLVM text; the same text gives the same library.

    Args:
        ir: `define` and `declare` lines (and constants), without triple or data layout. Functions
            to be called from outside have external linkage. Before a line `; ---- module` may
            stand modules that it calls: each is a library of its own, compiled once for all.
        name_hint: a name for messages.
        target: what to compile for; this machine when absent.
        level: code generation level; 0 compiles in a third of the time code that runs at half the
            speed (the same bits), for what runs once.
        passing: code that may be needed for a while only, as a plan's: the caller refers to the
            library as long as it uses an address, and afterwards the code may go.

    Raises:
        RuntimeError: LLVM refuses the text (an error in a generator), or llvmlite is missing.
    """
    with _LOCK:
        target = target or host()
        session = _session()
        digest = _digest(ir, target, level)
    *before, own = ir.split(_MODULE)
    known = _PASSING if passing else _LIBRARIES
    library = known.get(digest)
    if library is not None:
        return library
    with _LOCK:
        library = known.get(digest)
        if library is None:
            _DEAD.clear()
            if passing and len(_PASSING) + len(before) >= GENERATION:  # with all that it needs
                _PASSING.clear()
                session.passing = _Linker(session)
            needs = [
                compile_text(
                    text, name_hint=f"used by {name_hint}", target=target, level=level,
                    passing=passing,
                )
                for text in before
            ]  # fmt: skip
            entry = disk_cache.load(digest)
            code = session.emit(own, name_hint, target, level) if entry is None else entry
            linker = session.passing if passing else session.lasting
            library = Library(linker, name_hint, digest, code, entry is not None, needs)
            if entry is None:
                disk_cache.store(digest, code)
            known[digest] = library
    return library


def stored(ir: str) -> bool:
    """Is what `compile_text` makes of `ir` on disk, so that it is loaded, not compiled?"""
    digest = _digest(ir, host(), 1)
    return digest in _LIBRARIES or disk_cache.holds(digest)


def find(digests: Sequence[str], name_hint: str) -> Library | None:
    """The library of which `digests` were noted, from memory or from disk; None when a part of it
    is gone. Its text was compiled for this machine at level 1, and not as passing code."""
    with _LOCK:
        session = _session()
        needs: list[Library] = []
        for digest in digests:
            library = _LIBRARIES.get(digest)
            if library is None:
                code = disk_cache.load(digest)
                if code is None:
                    return None
                own = digest == digests[-1]
                name = name_hint if own else f"used by {name_hint}"
                library = Library(session.lasting, name, digest, code, True, needs if own else ())
                _LIBRARIES[digest] = library
            needs.append(library)
        return needs[-1]


def recipe(target: Target, level: int = 1) -> str:
    """What a text's code depends on beside the text."""
    return f"{_session().version}|{target.code_key}|{level}|{_CODE_FORMAT}"


def _digest(ir: str, target: Target, level: int) -> str:
    return str(disk_cache.sha256(f"{recipe(target, level)}\n{ir}".encode()).hexdigest())


def assembly(ir: str, *, name_hint: str = "kernel", target: Target | None = None) -> str:
    """The machine's assembly text for `ir`, for reading and for tests."""
    target = target or host()
    session = _session()
    with _LOCK:
        module, machine = session.parse(ir, name_hint, target, 1)
        return str(machine.emit_assembly(module))


def object_code(ir: str, *, name_hint: str = "kernel", target: Target) -> bytes:
    """The relocatable object of one module's text, for any target that LLVM knows.

    For linkers of other machines: what this process runs comes from `compile_text`.
    """
    session = _session()
    with _LOCK:
        module, machine = session.parse(ir, name_hint, target, 1)
        code: bytes = machine.emit_object(module)
    return code


_CODE_FORMAT = 2
"""Part of every key: raise it when the recipe below changes what is generated."""


def _attributes(target: Target) -> str:
    width = max(128, target.vector_bits)
    tune = f' "tune-cpu"="{target.tune}"' if target.tune else ""
    return (
        f'attributes #0 = {{ nounwind "prefer-vector-width"="{width}" "no-builtins" '
        f'"no-trapping-math"="true"{tune} }}\n'
    )


def _llvmlite(name: str = "llvmlite.binding") -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RuntimeError(
            "rushlight compiles kernels with llvmlite, which could not be imported "
            f"({error}); install it with: pip install llvmlite"
        ) from error


def _version() -> str:
    """What tells one LLVM from another without loading it: llvmlite's version and the size of the
    library that it comes with."""
    package = _llvmlite("llvmlite")
    folder = os.path.join(os.path.dirname(package.__file__), "binding")
    for name in ("libllvmlite.so", "libllvmlite.dylib", "llvmlite.dll"):
        with contextlib.suppress(OSError):
            return f"llvmlite {package.__version__} {os.stat(os.path.join(folder, name)).st_size}"
    numbers = ".".join(str(number) for number in _llvmlite().llvm_version_info)
    return f"llvmlite {package.__version__} LLVM {numbers}"


class _Session:
    """LLVM as this process uses it: a linker for what lasts, one for the present generation of
    what passes; a target machine per target."""

    def __init__(self) -> None:
        self.version = _version()
        self.loaded: Any = None
        self.lasting = _Linker(self)
        self.passing = _Linker(self)

    @property
    def llvm(self) -> Any:
        """LLVM, loaded when it is first asked for."""
        if self.loaded is None:
            llvm = _llvmlite()
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            self.loaded = llvm
        return self.loaded

    def machine(self, target: Target, level: int) -> Any:
        """The cached TargetMachine of `target`."""
        key = f"{target.code_key}|{level}"
        machine = _MACHINES.get(key)
        if machine is None:
            try:
                known = self.llvm.Target.from_triple(target.triple)
            except RuntimeError:  # not this machine's
                self.llvm.initialize_all_targets()
                self.llvm.initialize_all_asmprinters()
                known = self.llvm.Target.from_triple(target.triple)
            # `default` code model and pic: small, quick code; the linker adds stubs where needed.
            machine = known.create_target_machine(
                cpu=target.cpu,
                features=target.features,
                opt=level,
                reloc="pic",
                codemodel="default",
                jit=True,
            )
            _MACHINES[key] = machine
        return machine

    def parse(self, ir: str, name: str, target: Target, level: int) -> tuple[Any, Any]:
        machine = self.machine(target, level)
        body = _DEFINE.sub(r"\1 #0", ir)
        head = f'target triple = "{target.triple}"\ntarget datalayout = "{machine.target_data}"\n'
        try:
            module = self.llvm.parse_assembly(f"{head}{body}\n{_attributes(target)}")
            module.verify()
        except RuntimeError as error:
            raise RuntimeError(f"LLVM refuses the text of {name!r}: {error}") from error
        return module, machine

    def emit(self, ir: str, name: str, target: Target, level: int) -> bytes:
        """Compiles `ir`; returns a relocatable object followed by the list of its functions."""
        module, machine = self.parse(ir, name, target, level)
        names = [
            function.name
            for function in module.functions
            if not function.is_declaration and function.linkage.name == "external"
        ]
        code: bytes = machine.emit_object(module)
        listing = "\n".join(names).encode()
        return code + listing + len(listing).to_bytes(4, "little")


class _Linker:
    """Loaded code that goes together: what holds its libraries, and one of LLVM's JITs for those
    that it has to link."""

    def __init__(self, session: _Session) -> None:
        self.session = session
        self.jit: Any = None
        self.keep: list[Any] = []

    def __del__(self, dead: list[Any] = _DEAD) -> None:
        # Whatever thread this is, and whatever it is doing: LLVM is used under the lock, later.
        dead.append((self.jit, self.keep))

    def link(self, digest: str, code: bytes, needs: Sequence[Library] = ()) -> dict[str, int]:
        """Loads an object from `emit`; returns the addresses of its functions.

        `needs`: libraries whose functions it calls.
        """
        size = int.from_bytes(code[-4:], "little")
        names = code[-4 - size : -4].decode().split("\n") if size else []
        image = code[: -4 - size]
        known = {name: at for need in needs for name, at in need.addresses.items()}
        loaded = loading.load(image, names, known)
        if loaded is not None:
            self.keep.append(loaded)
            return loaded.addresses
        llvm = self.session.llvm
        if self.jit is None:
            self.jit = llvm.create_lljit_compiler()
        builder = llvm.JITLibraryBuilder().add_object_img(image)
        builder.add_current_process()
        for name, at in known.items():
            builder.import_symbol(name, at)
        for name in names:
            builder.export_symbol(name)
        tracker = builder.link(self.jit, digest)
        self.keep.append(tracker)
        return {name: int(tracker[name]) for name in names}


def _session() -> _Session:
    if not _SESSIONS:
        with _LOCK:
            if not _SESSIONS:
                session = _Session()
                _leak(session)
                _leak(_DEAD)
                _SESSIONS.append(session)
    return _SESSIONS[0]


def _leak(thing: object) -> None:
    """Keeps loaded code past the interpreter's shutdown, when finalisers may still call it."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
