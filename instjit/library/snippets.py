"""What tells CMake and pkg-config of a library: files beside it."""

from __future__ import annotations

import instjit

CMAKE = """\
# find_package({name} CONFIG PATHS <this folder>) gives the target {name}::{name}.
if(NOT TARGET {name}::{name})
  add_library({name}::{name} SHARED IMPORTED)
  set_target_properties({name}::{name} PROPERTIES
    IMPORTED_LOCATION "${{CMAKE_CURRENT_LIST_DIR}}/{file}"
    IMPORTED_NO_SONAME FALSE
    INTERFACE_INCLUDE_DIRECTORIES "${{CMAKE_CURRENT_LIST_DIR}}")
endif()
"""

PKG_CONFIG = """\
prefix=${{pcfiledir}}

Name: {name}
Description: a model as a C library, made by instjit
Version: {version}
Cflags: -I${{prefix}}
Libs: -L${{prefix}} {link}
Libs.private: -lm
"""


def cmake(name: str, file: str) -> str:
    """The text of ``NAME-config.cmake``."""
    return CMAKE.format(name=name, file=file)


def pkg_config(name: str, file: str) -> str:
    """The text of ``NAME.pc``."""
    stem = file.rpartition(".")[0]
    link = f"-l{stem[3:]}" if stem.startswith("lib") else f"-l:{file}"
    return PKG_CONFIG.format(name=name, version=instjit.__version__, link=link)
