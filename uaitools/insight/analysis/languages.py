"""What a file is written in, by its name alone. Pure.

Programming languages, and those of pages and styles; no data and no prose. An extension that
several languages share has none (`.m`, `.v`, `.pl`), but `.h` is C. What others wrote (`vendored`)
does not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_EXTENSIONS: Final[Mapping[str, str]] = {
    "Ada": "adb ads",
    "Assembly": "asm s",
    "Astro": "astro",
    "C": "c h",
    "C#": "cs",
    "C++": "cc cpp cxx hpp hh hxx c++ ipp tpp",
    "CSS": "css",
    "Clojure": "clj cljs cljc",
    "CoffeeScript": "coffee",
    "Crystal": "cr",
    "Cuda": "cu cuh",
    "Cython": "pyx pxd",
    "D": "d",
    "Dart": "dart",
    "Elixir": "ex exs",
    "Elm": "elm",
    "Erlang": "erl hrl",
    "F#": "fs fsi fsx",
    "Fortran": "f90 f95 f03 f08",
    "GDScript": "gd",
    "GLSL": "glsl vert frag",
    "Go": "go",
    "Groovy": "groovy gradle",
    "HCL": "tf hcl",
    "HTML": "html htm",
    "Haskell": "hs lhs",
    "Java": "java",
    "JavaScript": "js mjs cjs jsx",
    "Julia": "jl",
    "Jupyter Notebook": "ipynb",
    "Kotlin": "kt kts",
    "Lua": "lua",
    "Mojo": "mojo",
    "Nim": "nim",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C++": "mm",
    "PHP": "php",
    "Perl": "pm",
    "PowerShell": "ps1 psm1",
    "Protocol Buffer": "proto",
    "Python": "py pyi pyw",
    "R": "r",
    "Racket": "rkt",
    "Ruby": "rb rake gemspec",
    "Rust": "rs",
    "SCSS": "scss",
    "SQL": "sql",
    "Scala": "scala sc",
    "Shell": "sh bash zsh fish bats",
    "Solidity": "sol",
    "Starlark": "bzl star",
    "Svelte": "svelte",
    "Swift": "swift",
    "TeX": "tex",
    "TypeScript": "ts tsx mts cts",
    "VHDL": "vhd vhdl",
    "Verilog": "sv svh",
    "Vue": "vue",
    "WebAssembly": "wat",
    "Zig": "zig",
}
_BY_EXTENSION: Final = {one: name for name, all_ in _EXTENSIONS.items() for one in all_.split()}
_BY_NAME: Final[Mapping[str, str]] = {
    "dockerfile": "Dockerfile",
    "makefile": "Makefile",
    "gnumakefile": "Makefile",
    "cmakelists.txt": "CMake",
    "rakefile": "Ruby",
    "gemfile": "Ruby",
}
INLINE: Final = frozenset({"D", "Rust", "Zig"})
"""Languages in which tests usually stand within the files that they test."""
_VENDORED: Final = re.compile(
    r"(?:^|/)(?:vendors?|node_modules|bower_components|third[-_]?party|3rd[-_]?party|godeps"
    r"|site-packages|dist|pods|carthage)/"
    r"|\.min\.(?:js|css)$|_pb2(?:_grpc)?\.pyi?$|\.pb\.(?:go|cc|h)$|\.g\.dart$|\.generated\.\w+$"
)


def language(path: str) -> str | None:
    """What a file is written in; None for data, prose and what is not known. path: lower case."""
    name = path.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    if dot and stem and extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    return _BY_NAME.get(name)


def vendored(path: str) -> bool:
    """Whether somebody else or a program wrote it, as its place says. path: lower case."""
    return _VENDORED.search(path) is not None
