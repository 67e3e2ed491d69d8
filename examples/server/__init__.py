"""Serves a model file over HTTP: ``python -m examples.server MODEL`` (``pip install '.[server]'``).

::

    python -m examples.server examples/digits/digits.json --workers 2 &
    curl localhost:8000/predict -H 'Content-Type: application/json' -d '{"rows": [[0, 5, ...]]}'
    curl localhost:8000/predict -H 'Content-Type: application/octet-stream' --data-binary @x.f32
    curl localhost:8000/healthz
    curl localhost:8000/metrics

``/predict`` takes ``{"rows": [[...], ...]}`` or ``{"row": [...]}`` and answers with "outputs" or
"output", or takes float32 numbers, little-endian, row after row, and answers with the same. What it
refuses it answers with ``{"error": {"kind": ..., "message": ...}}``: 400 for what is no JSON, 408
for a body that takes too long, 413 for one that is too long, 415 for one of another type, 422 for
one that does not fit the model, 503 when too many rows wait.

JSON of more than 64 KiB is parsed in a thread, so that other requests, ``/healthz`` among them, are
answered meanwhile. Every worker process has its own kernel, queue and metrics. Requests that arrive
together are worked out in one ``predict``: those that the event loop has read in one turn, or, with
``--wait-ms``, in that time. Limits are options or environment variables (``--help``,
``SERVER_BODY_BYTES``). Put it behind a proxy that bounds headers and connections.
"""
