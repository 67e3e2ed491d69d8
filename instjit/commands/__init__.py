"""The verbs of the command line, one module each: ``add_arguments`` and ``execute``.

Modules import little, so that ``--help`` is quick; ``execute`` imports what it needs.
"""
